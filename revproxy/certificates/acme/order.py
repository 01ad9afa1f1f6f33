"""One order, from the names to the certificate (RFC 8555 §7.4, §7.5)."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import attrs
from acme import crypto_util
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from josepy.json_util import encode_b64jose

from revproxy.certificates.acme.account import Account
from revproxy.certificates.acme.challenges import Published, prepare
from revproxy.certificates.acme.fetching import Answer
from revproxy.certificates.acme.server import AcmeError, AcmeServer, read_problem, seconds_of
from revproxy.certificates.pem import CertificateError, PrivateKey, names_of, parse_pem, public_octets

PATIENCE: Final = 300.0
"""Seconds for which a validation, or an issuance, is waited for."""
FIRST_LOOK: Final = 1.0
LAST_LOOK: Final = 15.0
"""Seconds between two looks at what is under way: doubled each time."""

_LINK: Final = re.compile(r'<([^>]*)>\s*;[^,<]*?rel="?alternate"?')


class Publish(Protocol):
    """Where answers to challenges are put. Raises OSError."""

    def publish(self, published: Published) -> Awaitable[None]:
        """Answers are there for all processes when this is done."""

    def withdraw(self, published: Published) -> Awaitable[None]:
        """Takes them away."""


@attrs.frozen
class Wish:
    """What is wanted."""

    names: tuple[str, ...]
    key: PrivateKey
    challenges: Sequence[str]
    """The ways to prove a name, the preferred first."""
    preferred_chain: str | None = None
    replaces: str | None = None
    """The id of the certificate that this one follows (RFC 9773 §5); None for none, or where the server knows none."""


@attrs.define(eq=False)
class _Proof:
    """One name that is to be proved."""

    name: str
    url: str
    challenge_url: str
    kind: str
    published: Published


class Order:
    """Has one certificate issued.

    :param sleep: waits for some seconds.
    :param wall: seconds since 1970.
    """

    def __init__(
        self,
        server: AcmeServer,
        account: Account,
        place: Publish,
        sleep: Callable[[float], Awaitable[None]],
        wall: Callable[[], float],
    ) -> None:
        self._server = server
        self._account = account
        self._place = place
        self._sleep = sleep
        self._wall = wall

    async def fulfil(self, wish: Wish) -> bytes:
        """The key, the certificate and its chain as PEM. Raises AcmeError, OSError."""
        answer = await self._begin(wish)
        order = self._read(answer)
        url = answer.field("location")
        if order.get("status") in ("pending", None):
            await self._prove(wish, [str(each) for each in order.get("authorizations", ())])
        if not url:
            raise AcmeError(f"{self._server.host} does not say where the order is")
        order = await self._await_order(url, ("ready", "valid"), order)
        if order.get("status") == "ready":
            csr = encode_b64jose(x509.load_pem_x509_csr(_request(wish)).public_bytes(Encoding.DER))
            finished = await self._post(str(order.get("finalize")), {"csr": csr})
            order = await self._await_order(url, ("valid",), self._read(finished))
        chain = await self._download(str(order.get("certificate")), wish.preferred_chain)
        return _pem_of(wish.key) + checked(chain, wish, self._server.host)

    async def _begin(self, wish: Wish) -> Answer:
        directory = self._server.directory or await self._server.open()
        wanted: dict[str, Any] = {"identifiers": [{"type": "dns", "value": name} for name in wish.names]}
        if wish.replaces is None:
            return await self._post(directory["newOrder"], wanted)
        try:
            return await self._post(directory["newOrder"], {**wanted, "replaces": wish.replaces})
        except AcmeError as error:
            # A server may refuse for this field alone, and what is wanted is a certificate (RFC 9773 §5).
            if error.kind not in ("alreadyReplaced", "malformed"):
                raise
        return await self._post(directory["newOrder"], wanted)

    # Names.

    async def _prove(self, wish: Wish, urls: Sequence[str]) -> None:
        proofs: list[_Proof] = []
        try:
            for url in urls:
                proof = self._choose(self._read(await self._post(url, None)), url, wish)
                if proof is not None:
                    # Withdrawn also if publishing is given up in the middle.
                    proofs.append(proof)
                    await self._place.publish(proof.published)
            for proof in proofs:
                await self._post(proof.challenge_url, {})
            for proof in proofs:
                await self._await_proof(proof)
        finally:
            for proof in proofs:
                await self._place.withdraw(proof.published)

    def _choose(self, authorization: dict[str, Any], url: str, wish: Wish) -> _Proof | None:
        """The challenge for a name; None where it has been proved before."""
        identifier = authorization.get("identifier")
        name = str(identifier.get("value") if isinstance(identifier, dict) else "?")
        status = authorization.get("status")
        if status == "valid":
            return None
        if status != "pending":
            raise AcmeError(f"{self._server.host} will not let {name} be proved: its authorization is {status}")
        if name not in wish.names or authorization.get("wildcard"):
            raise AcmeError(f"{self._server.host} asks about {name}, which was not ordered")
        offered: dict[str, dict[str, Any]] = {
            str(each.get("type")): each for each in authorization.get("challenges", ()) if isinstance(each, dict)
        }
        for kind in wish.challenges:
            challenge = offered.get(kind)
            if challenge is not None:
                token = str(challenge.get("token"))
                if not re.fullmatch(r"[A-Za-z0-9_-]+", token):
                    raise AcmeError(f"{self._server.host} gives a token that is none")
                published = prepare(kind, name, token, self._account.key.thumbprint())
                return _Proof(name, url, str(challenge.get("url")), kind, published)
        kinds = ", ".join(offered) or "nothing"
        raise AcmeError(f"{self._server.host} offers {kinds} for {name}, and not {' or '.join(wish.challenges)}")

    async def _await_proof(self, proof: _Proof) -> None:
        def is_over(found: dict[str, Any]) -> bool:
            return found.get("status") != "pending"

        found = await self._look(proof.url, is_over, f"{proof.name} ({proof.kind})")
        if found.get("status") == "valid":
            return
        said, kind = f"its authorization is {found.get('status')}", ""
        for challenge in found.get("challenges", ()):
            if isinstance(challenge, dict) and challenge.get("error"):
                kind, said = read_problem(challenge["error"])
        text = f"{self._server.host} could not verify {proof.name} by {proof.kind}: {said}"
        raise AcmeError(text, kind=kind)

    # The order.

    async def _await_order(self, url: str, statuses: tuple[str, ...], order: dict[str, Any]) -> dict[str, Any]:
        def is_over(found: dict[str, Any]) -> bool:
            return found.get("status") in (*statuses, "invalid")

        found = order if is_over(order) else await self._look(url, is_over, "the order")
        if found.get("status") == "invalid":
            kind, said = read_problem(found["error"]) if found.get("error") else ("", "no reason is given")
            raise AcmeError(f"{self._server.host} gives up the order: {said}", kind=kind)
        return found

    async def _look(
        self, url: str, is_over: Callable[[dict[str, Any]], bool], what: str
    ) -> dict[str, Any]:
        """Looks again and again, at the pace that the server asks for (RFC 8555 §7.5.1)."""
        deadline = self._wall() + PATIENCE
        pause = FIRST_LOOK
        while True:
            answer = await self._post(url, None)
            found = self._read(answer)
            if is_over(found):
                return found
            asked = seconds_of(answer.field("retry-after"), self._wall())
            wait = max(pause, asked or 0.0)
            if self._wall() + wait > deadline:
                raise AcmeError(f"{self._server.host} has not decided about {what} within {PATIENCE:g} s")
            await self._sleep(wait)
            pause = min(pause * 2, LAST_LOOK)

    async def _download(self, url: str, preferred: str | None) -> bytes:
        answer = await self._post(url, None)
        if preferred is None or _root_of(answer.body) == preferred:
            return answer.body
        for line in answer.fields.get("link", ()):
            # RFC 8555 §7.4.2: other chains.
            for other in _LINK.findall(line):
                found = await self._post(other, None)
                if _root_of(found.body) == preferred:
                    return found.body
        return answer.body

    async def _post(self, url: str, payload: dict[str, Any] | None) -> Answer:
        return await self._server.post(self._account.signer, url, payload)

    def _read(self, answer: Answer) -> dict[str, Any]:
        try:
            found = json.loads(answer.body)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise AcmeError(f"{self._server.host} answers with something that is no JSON object", is_server=True)
        return found


def new_key(key_type: str) -> PrivateKey:
    """A key for a certificate."""
    if key_type == "rsa":
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def _pem_of(key: PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _request(wish: Wish) -> bytes:
    return crypto_util.make_csr(_pem_of(wish.key), list(wish.names))


def _root_of(chain: bytes) -> str:
    """The common name of the root that a chain leads to; empty where it can't be told."""
    try:
        last = parse_pem(chain).certificates[-1]
    except (CertificateError, IndexError):
        return ""
    names = last.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else ""


def checked(chain: bytes, wish: Wish, host: str) -> bytes:
    """A chain that was downloaded, if it is what was ordered. Raises AcmeError."""
    try:
        certificates = parse_pem(chain).certificates
    except CertificateError as reason:
        raise AcmeError(f"{host} has issued something that is no certificate: {reason}") from None
    if not certificates:
        raise AcmeError(f"{host} has issued no certificate")
    leaf = certificates[0]
    if public_octets(leaf.public_key()) != public_octets(wish.key.public_key()):
        raise AcmeError(f"{host} has issued a certificate for another key")
    missing = set(wish.names) - set(names_of(leaf))
    if missing:
        raise AcmeError(f"{host} has issued a certificate without {', '.join(sorted(missing))}")
    # Written anew: whatever else stood in the answer does not go beside our key.
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)
