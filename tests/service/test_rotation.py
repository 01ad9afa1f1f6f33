"""Certificates that change while clients come and go: nobody notices but by the certificate."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.logger import capturedLogs

from tests.certificates.making import pem_of
from tests.service.secured import ROOT, A, secured


def replace(folder: Path, name: str, octets: bytes) -> None:
    (folder / "new").write_bytes(octets)
    os.replace(folder / "new", folder / name)


def test_twenty_changes_under_load(tmp_path: Path) -> None:
    with secured(tmp_path) as service, capturedLogs() as logs:
        faithful = service.client()
        certs = tmp_path / "certs"
        served = {A.certificate.serial_number}
        pairs = [ROOT.issue("a.example") for _ in range(20)]
        for number, pair in enumerate(pairs):
            # One file, two files, and one that is broken in between.
            if number % 3 == 0:
                steps = [("a.pem", pair.pem)]
            else:
                steps = [("a.pem", pem_of(pair.certificate)), ("a.key", pem_of(pair.key))]
            if number % 5 == 4:
                steps.insert(0, ("a.pem", pair.pem[:500]))
            for name, octets in steps:
                replace(certs, name, octets)
                for _ in range(2):
                    service.seconds(3)
                    client = service.client()
                    served.add(client.served.serial_number)
                    assert client.ask().status == 200
                    client.socket.close()
            if number % 3 == 0 and (certs / "a.key").exists():
                # The key of the round before belongs to nothing now: a warning, and no reason to wait.
                os.unlink(certs / "a.key")
            assert faithful.ask().status == 200
        assert served == {A.certificate.serial_number, *(pair.certificate.serial_number for pair in pairs)}
        assert faithful.served == A.certificate
    assert [event for event in logs if "log_failure" in event] == []
