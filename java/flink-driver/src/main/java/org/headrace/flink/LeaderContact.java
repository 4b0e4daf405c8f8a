package org.headrace.flink;

/** Where TaskManagers are told of leaders, and of which cluster: {@code host:port/cluster}. */
final class LeaderContact {

    final String address;
    final String cluster;

    LeaderContact(String address, String cluster) {
        this.address = address;
        this.cluster = cluster;
    }

    /** Throws IllegalArgumentException if it is none. */
    static LeaderContact parse(String text) {
        int slash = text.indexOf('/');
        if (slash < 0 || text.lastIndexOf(':', slash) < 1) {
            throw new IllegalArgumentException("not of the form host:port/cluster: " + text);
        }
        return new LeaderContact(text.substring(0, slash), text.substring(slash + 1).trim());
    }

    int port() {
        return Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
    }

    String host() {
        return address.substring(0, address.lastIndexOf(':'));
    }

    @Override
    public String toString() {
        return address + "/" + cluster;
    }
}
