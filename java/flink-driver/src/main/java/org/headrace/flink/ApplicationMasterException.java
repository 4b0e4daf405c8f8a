package org.headrace.flink;

import java.io.IOException;

/** The application master answered, but not with success. */
final class ApplicationMasterException extends IOException {

    private static final long serialVersionUID = 1L;

    private static final int REQUEST_TIMEOUT = 408;
    private static final int GONE = 410;
    private static final int TOO_MANY_REQUESTS = 429;

    private final int status;

    ApplicationMasterException(int status, String message) {
        super(message);
        this.status = status;
    }

    /** Flink logs it for every refused request; where it was thrown says nothing. */
    @Override
    public synchronized Throwable fillInStackTrace() {
        return this;
    }

    /** Whether the same call would be refused again. */
    boolean isFinal() {
        return status / 100 == 4 && status != REQUEST_TIMEOUT && status != TOO_MANY_REQUESTS;
    }

    boolean isGone() {
        return status == GONE;
    }
}
