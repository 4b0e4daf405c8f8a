package org.apache.flink.api.common;

import org.apache.flink.util.AbstractID;

/** Since 2.3. */
public final class ApplicationID extends AbstractID {
    private static final long serialVersionUID = 1L;

    public static native ApplicationID fromHexString(String text);
}
