"""A broker with TLS, a login and rights, as companies run Kafka, to be refused by each."""

from collections.abc import Iterable
from pathlib import Path

import trustme
from confluent_kafka.admin._acl import AclBinding, AclOperation, AclPermissionType
from confluent_kafka.admin._resource import ResourcePatternType, ResourceType
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from tests.support.kafka.broker import KafkaBroker, free_ports
from tests.support.kafka.client import ANSWER_SECONDS
from tests.support.kafka.fetch import Distribution

USER, PASSWORD = "alice", "alice-pw"


class SecureBroker(KafkaBroker):
    """Its usual port is open to tests that administer it; `secure` requires TLS and a login, and grants nothing."""

    def __init__(self, distribution: Distribution, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.authority = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.authority)
        store = key_store(authority, folder, "localhost", "127.0.0.1")
        (port,) = free_ports(1)
        self.secure = f"localhost:{port}"
        login = f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";'
        super().__init__(
            distribution,
            folder,
            properties={
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL",
                "ssl.keystore.type": "PEM",
                "ssl.keystore.location": str(store),
                "sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl_ssl.plain.sasl.jaas.config": login,
                "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                "super.users": "User:ANONYMOUS",
            },
            listeners={"SASL_SSL": self.secure},
        )

    def allow(self, kind: ResourceType, name: str, operations: Iterable[AclOperation]) -> None:
        """Give the user rights on a topic or a group."""
        bindings = [
            AclBinding(kind, name, ResourcePatternType.LITERAL, f"User:{USER}", "*", operation, AclPermissionType.ALLOW)
            for operation in operations
        ]
        admin = self.admin()
        for made in admin.create_acls(bindings).values():
            made.result(ANSWER_SECONDS)


def key_store(authority: trustme.CA, folder: Path, *names: str) -> Path:
    """A broker's key and certificate for these names, as Kafka reads them."""
    certificate = authority.issue_cert(*names)
    # The broker reads PKCS 8 only, which trustme does not write.
    key = load_pem_private_key(certificate.private_key_pem.bytes(), None)
    store = folder / "server.pem"
    store.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with store.open("ab") as file:
        file.writelines(blob.bytes() for blob in certificate.cert_chain_pems)
    return store
