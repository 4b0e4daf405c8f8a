"""Options of Flink that can't work as they are given are told at the start."""

import pytest

from headrace.flink.cluster import resolve
from headrace.kernel.daemon import UserError

SSL = "security.ssl."
STORES = {
    "keystore": "/k",
    "keystore-password": "p",
    "key-password": "p",
    "truststore": "/t",
    "truststore-password": "p",
}


def start(options: dict[str, str]) -> None:
    needed = {"mesos.master": "m:5050", "high-availability.cluster-id": "c"}
    resolve({**needed, "mesos.resourcemanager.artifactserver.ssl.enabled": "false", **options}, {}, "me")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({SSL + "internal.enabled": "true"}, ("internal.keystore,", "internal.truststore-password")),
        ({SSL + "rest.enabled": "true"}, ("rest.keystore,", "rest.key-password")),
        (
            {SSL + "internal.enabled": "true", **{SSL + key: value for key, value in STORES.items() if key[0] == "k"}},
            ("there is no security.ssl.internal.truststore, security.ssl.internal.truststore-password:",),
        ),
        (
            {
                SSL + "rest.enabled": "true",
                SSL + "rest.authentication-enabled": "true",
                **{SSL + "rest." + key: value for key, value in STORES.items() if key != "truststore"},
            },
            ("there is no security.ssl.rest.truststore:",),
        ),
        ({SSL + "internal.enabled": "yes"}, ("'yes'", "true or false")),
        ({"security.kerberos.login.keytab": "/k"}, ("security.kerberos.login.principal",)),
        ({"high-availability.type": "kubernetes"}, ("not supported", "high-availability.storageDir")),
        (
            {"high-availability": "org.apache.flink.kubernetes.highavailability.KubernetesHaServicesFactory"},
            ("not supported",),
        ),
        ({"high-availability.type": "zookeper"}, ("'zookeper'", "zookeeper, NONE")),
    ],
)
def test_what_can_not_work_is_told(options: dict[str, str], words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as error:
        start(options)
    assert all(word in str(error.value) for word in words), str(error.value)


@pytest.mark.parametrize(
    "options",
    [
        {SSL + "internal.enabled": "false"},
        {SSL + "internal.enabled": "true", SSL + "rest.enabled": "true", **{SSL + k: v for k, v in STORES.items()}},
        {SSL + "internal.enabled": "true", **{SSL + "internal." + k: v for k, v in STORES.items()}},
        {SSL + "rest.enabled": "true", **{SSL + "rest." + k: v for k, v in STORES.items() if k[0] == "k"}},
        {"security.kerberos.login.keytab": "/k", "security.kerberos.login.principal": "flink"},
        {"high-availability.type": "NONE"},
        {"high-availability.type": "org.example.Factory"},
    ],
)
def test_what_is_complete_is_taken(options: dict[str, str]) -> None:
    start(options)
