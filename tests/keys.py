"""Certificates for the tests, made as an installation would make them."""

from pathlib import Path

import trustme


class Keys:
    """An authority of its own in `folder`: ca.pem, and for each name asked NAME.pem and NAME.key."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self._authority.cert_pem.write_to_path(self.ca)

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and private key for a host or a client."""
        made = self._authority.issue_cert(name)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.unlink(missing_ok=True)
        for blob in made.cert_chain_pems:
            blob.write_to_path(certificate, append=True)
        made.private_key_pem.write_to_path(key)
        return certificate, key
