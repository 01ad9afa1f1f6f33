"""An ACME server in memory, for what a real one does not do when it is asked to: to fail, and to let years pass.

It checks signatures, nonces and URLs as RFC 8555 §6 says, and validates a name by asking for it there and then.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import attrs
from acme.jws import JWS
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from josepy.json_util import decode_b64jose

from revproxy.certificates.acme.ari import certificate_id
from revproxy.certificates.acme.fetching import TIMEOUT, Answer, FetchError
from tests.certificates.making import Pair, make_root

HOST = "https://acme.example"
DIRECTORY = f"{HOST}/directory"
TERMS = "https://acme.example/terms"
Validate = Callable[[str, str, str], bool]


def problem(status: int, kind: str, detail: str, retry_after: str = "", **more: Any) -> Answer:
    fields = {"content-type": ("application/problem+json",)}
    if retry_after:
        fields["retry-after"] = (retry_after,)
    body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, **more}
    return Answer(status, fields, json.dumps(body).encode())


@attrs.define(eq=False)
class _Name:
    value: str
    token: str
    status: str = "pending"
    error: Any = None


@attrs.define(eq=False)
class _Order:
    names: list[_Name]
    replaces: str = ""
    chain: bytes = b""
    status: str = "pending"


class PlayedAuthority:
    """Implements ``Fetch``.

    :param wall: seconds since 1970.
    """

    def __init__(self, wall: Callable[[], float], *, days: float = 90) -> None:
        self.wall = wall
        self.days = days
        self.asked: list[tuple[str, str]] = []
        """Every request: its method and path."""
        self.orders: list[_Order] = []
        self.accounts: list[dict[str, Any]] = []
        self.faults: dict[str, list[Answer | FetchError]] = {}
        """What the next requests to a path are answered instead."""
        self.validate: Validate = lambda kind, name, token: True
        self.kinds = ["http-01", "dns-01", "tls-alpn-01"]
        self.window: bytes | None = None
        """What is said of the renewal of any certificate; None where renewalInfo is not offered."""
        self.retry_after = "21600"
        self.external: str | None = None
        self.other_chains = False
        self.root = make_root("played root")
        self.issuer: Pair = self.root.issue(subject="played issuer", ca=True)
        self.other_root = make_root("other root")
        self.tried: list[str] = []
        """The kinds of challenges that were answered."""
        self._nonces = 0
        self._good: set[str] = set()

    def count(self, path: str) -> int:
        """How many requests there were to a path, or below it."""
        return sum(asked == path or asked.startswith(path + "/") for _, asked in self.asked)

    async def __call__(
        self, method: str, url: str, body: bytes | None = None, content_type: str = "", timeout: float = TIMEOUT
    ) -> Answer:
        assert url.startswith(HOST), url
        path = url[len(HOST) :]
        self.asked.append((method, path))
        for prefix, faults in self.faults.items():
            if faults and (path == prefix or path.startswith(prefix + "/")):
                fault = faults.pop(0)
                if isinstance(fault, FetchError):
                    raise fault
                return self._with_nonce(fault)
        if method != "POST":
            return self._open(path)
        assert content_type == "application/jose+json"
        assert body is not None
        found: Any = JWS.json_loads(body.decode())
        header = found.signature.combined
        assert header.url == url
        nonce = json.loads(decode_b64jose(json.loads(body)["protected"]))["nonce"]
        if nonce not in self._good:
            return self._with_nonce(problem(400, "badNonce", "this nonce is not known"))
        self._good.discard(nonce)
        if header.kid is None:
            assert path == "/account"
            key = header.jwk
        else:
            number = int(header.kid.rpartition("/")[2])
            if number >= len(self.accounts) or self.accounts[number]["status"] != "valid":
                return self._with_nonce(problem(400, "accountDoesNotExist", "this account is not known"))
            key = self.accounts[number]["key"]
        assert found.verify(key)
        payload = json.loads(found.payload) if found.payload else None
        return self._with_nonce(self._signed(path, payload, key))

    def _with_nonce(self, answer: Answer) -> Answer:
        self._nonces += 1
        nonce = f"bm9uY2U{self._nonces:05d}"
        self._good.add(nonce)
        return attrs.evolve(answer, fields={**answer.fields, "replay-nonce": (nonce,)})

    def _open(self, path: str) -> Answer:
        if path == "/directory":
            directory: dict[str, Any] = {
                "newNonce": f"{HOST}/nonce",
                "newAccount": f"{HOST}/account",
                "newOrder": f"{HOST}/order",
                "meta": {"termsOfService": TERMS, "externalAccountRequired": self.external is not None},
            }
            if self.window is not None:
                directory["renewalInfo"] = f"{HOST}/renewal"
            return json_answer(200, directory)
        if path == "/nonce":
            return self._with_nonce(Answer(200, {}, b""))
        if path.startswith("/renewal/") and self.window is not None:
            return Answer(200, {"retry-after": (self.retry_after,)}, self.window)
        return Answer(404, {}, b"nothing is here")

    def _signed(self, path: str, payload: Any, key: Any) -> Answer:
        kind, _, rest = path[1:].partition("/")
        number = int(rest.partition("/")[0] or -1)
        if kind == "account":
            return self._account(number, payload, key)
        if kind == "order" and number < 0:
            names = [_Name(each["value"], f"token-of-{len(self.orders)}-{at}-and-more") for at, each in
                     enumerate(payload["identifiers"])]  # fmt: skip
            self.orders.append(_Order(names, payload.get("replaces", "")))
            number = len(self.orders) - 1
            return json_answer(201, self._order(number), location=f"{HOST}/order/{number}")
        order = self.orders[number]
        if kind == "order":
            return json_answer(200, self._order(number))
        if kind == "finalize":
            assert order.status == "ready"
            order.chain = self._issue(x509.load_der_x509_csr(decode_b64jose(payload["csr"])), order)
            order.status = "valid"
            return json_answer(200, self._order(number))
        if kind == "certificate":
            links = {"link": (f'<{HOST}/other/{number}>;rel="alternate"', f'<{HOST}/directory>;rel="index"')}
            return Answer(200, links if self.other_chains else {}, order.chain)
        if kind == "other":
            leaf = order.chain.partition(b"-----END CERTIFICATE-----\n")
            return Answer(200, {}, b"".join(leaf[:2]) + self._crossed())
        name = order.names[int(rest.split("/")[1])]
        if kind == "challenge":
            assert payload == {}
            self._try(order, name, rest.split("/")[2])
            return json_answer(200, {"type": rest.split("/")[2], "status": "processing"})
        assert kind == "authorization"
        return json_answer(200, self._authorization(number, order.names.index(name), name))

    def _account(self, number: int, payload: Any, key: Any) -> Answer:
        if number >= 0:
            self.accounts[number].update({} if payload is None else payload)
            return json_answer(200, {"status": self.accounts[number]["status"]})
        if not payload.get("termsOfServiceAgreed"):
            return problem(403, "userActionRequired", "agree first")
        if self.external is not None:
            binding = payload.get("externalAccountBinding")
            if binding is None:
                return problem(403, "externalAccountRequired", "who are you?")
            assert json.loads(decode_b64jose(binding["protected"]))["kid"] == self.external
        self.accounts.append({**payload, "status": "valid", "key": key})
        return json_answer(201, {"status": "valid"}, location=f"{HOST}/account/{len(self.accounts) - 1}")

    def _try(self, order: _Order, name: _Name, kind: str) -> None:
        self.tried.append(kind)
        if self.validate(kind, name.value, name.token):
            name.status = "valid"
            if all(each.status == "valid" for each in order.names):
                order.status = "ready"
        else:
            name.status = order.status = "invalid"
            name.error = (kind, {"type": "urn:ietf:params:acme:error:unauthorized", "detail": "not what was expected"})

    def _order(self, number: int) -> dict[str, Any]:
        order = self.orders[number]
        found = {
            "status": order.status,
            "identifiers": [{"type": "dns", "value": name.value} for name in order.names],
            "authorizations": [f"{HOST}/authorization/{number}/{at}" for at in range(len(order.names))],
            "finalize": f"{HOST}/finalize/{number}",
        }
        if order.chain:
            found["certificate"] = f"{HOST}/certificate/{number}"
        return found

    def _authorization(self, number: int, at: int, name: _Name) -> dict[str, Any]:
        challenges = []
        for kind in self.kinds:
            challenge = {"type": kind, "url": f"{HOST}/challenge/{number}/{at}/{kind}", "token": name.token}
            if name.error is not None and name.error[0] == kind:
                challenge["error"] = name.error[1]
            challenges.append(challenge)
        return {
            "status": name.status,
            "identifier": {"type": "dns", "value": name.value},
            "challenges": challenges,
        }

    def _issue(self, csr: x509.CertificateSigningRequest, order: _Order) -> bytes:
        wanted = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert wanted.get_values_for_type(x509.DNSName) == [name.value for name in order.names]
        begins = datetime.datetime.fromtimestamp(self.wall(), datetime.timezone.utc).replace(microsecond=0)
        authority = x509.SubjectKeyIdentifier.from_public_key(self.issuer.key.public_key()).digest
        leaf = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.issuer.certificate.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=self.days))
            .add_extension(wanted, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier(authority, None, None), critical=False)
            .sign(self.issuer.key, hashes.SHA256())
        )
        self.last_id = certificate_id(leaf)
        return leaf.public_bytes(Encoding.PEM) + self.issuer.certificate.public_bytes(Encoding.PEM)

    def _crossed(self) -> bytes:
        """The issuer's certificate, as another root has signed it."""
        crossed = self.other_root.issue(ca=True, key=self.issuer.key, name=self.issuer.certificate.subject)
        return crossed.certificate.public_bytes(Encoding.PEM)


def json_answer(status: int, value: Any, **fields: str) -> Answer:
    return Answer(status, {name: (text,) for name, text in fields.items()}, json.dumps(value).encode())
