"""The account at an ACME server: found in the state folder, or registered (RFC 8555 §7.3)."""

from __future__ import annotations

import json
from typing import Any, Final

import attrs
from acme import messages
from cryptography.hazmat.primitives.asymmetric import ec
from josepy.errors import Error
from josepy.jwk import JWK, JWKEC
from twisted.logger import Logger

from revproxy.certificates.acme.server import AcmeError, AcmeServer, Signer
from revproxy.certificates.acme.store import Store
from revproxy.config.acme_tables import AcmeOptions

_log = Logger()
_FILE: Final = "account.json"
GONE: Final = ("accountDoesNotExist", "unauthorized")
"""Problems with which a server says that an account is not, or no longer, good for anything (§7.3.6)."""


@attrs.frozen
class Account:
    """An account as it is kept."""

    key: JWK
    uri: str
    contact: tuple[str, ...]
    key_id: str
    """Of the external account that it is bound to; empty for none."""

    @property
    def signer(self) -> Signer:
        """Who signs with it."""
        return Signer(self.key, self.uri)


async def open_account(server: AcmeServer, store: Store, options: AcmeOptions) -> Account:
    """The account: the one that is kept if the server still takes it, else a new one. Raises AcmeError, OSError."""
    contact = tuple(f"mailto:{address.removeprefix('mailto:')}" for address in options.contact)
    key_id = options.external_account.key_id if options.external_account else ""
    kept = read_account(store)
    if kept is not None and kept.key_id != key_id:
        _log.info("ACME: {key_id} is another external account: a new account is registered", key_id=key_id or "none")
        kept = None
    if kept is None:
        return await _register(server, store, options, contact, key_id)
    # Its contacts are told where they have changed, else it is merely looked at (§7.3.2).
    changes: dict[str, Any] = {} if kept.contact == contact else {"contact": list(contact)}
    try:
        answer = await server.post(kept.signer, kept.uri, changes)
    except AcmeError as error:
        if error.kind not in GONE:
            raise AcmeError(str(error), kind=error.kind, retry_after=error.retry_after, is_server=True) from None
        _log.warn("ACME: the account {uri} is of no use any more: {reason}", uri=kept.uri, reason=error)
        return await _register(server, store, options, contact, key_id)
    status = _status(answer.body)
    if status not in ("valid", ""):
        _log.warn("ACME: the account {uri} is {status}: a new one is registered", uri=kept.uri, status=status)
        return await _register(server, store, options, contact, key_id)
    if kept.contact != contact:
        kept = attrs.evolve(kept, contact=contact)
        _write_account(store, kept)
    return kept


async def _register(
    server: AcmeServer, store: Store, options: AcmeOptions, contact: tuple[str, ...], key_id: str
) -> Account:
    directory = server.directory or await server.open()
    key = JWKEC(key=ec.generate_private_key(ec.SECP256R1()))
    binding = None
    external = options.external_account
    if external is not None:
        binding = messages.ExternalAccountBinding.from_data(key.public_key(), key_id, external.key, directory)
    elif directory["meta"].external_account_required:
        raise AcmeError(
            f"{server.host} takes only customers that it knows: write key_id and key of your account there into"
            " [tls.acme.external_account]",
            is_server=True,
        )
    wanted: dict[str, Any] = {"termsOfServiceAgreed": options.agree}
    if contact:
        wanted["contact"] = list(contact)
    if binding is not None:
        wanted["externalAccountBinding"] = binding
    try:
        answer = await server.post(Signer(key), directory["newAccount"], wanted)
    except AcmeError as error:
        text = f"no account is had: {error}"
        raise AcmeError(text, kind=error.kind, retry_after=error.retry_after, is_server=True) from None
    uri = answer.field("location")
    if not uri:
        raise AcmeError(f"{server.host} does not say where the new account is", is_server=True)
    account = Account(key, uri, contact, key_id)
    if store.read_json(_FILE):
        store.put_aside(_FILE)
    _write_account(store, account)
    terms = directory["meta"].terms_of_service
    _log.info(
        "ACME: registered as {uri}{terms}", uri=uri, terms=f", in agreement with {terms}" if terms else ""
    )
    return account


def read_account(store: Store) -> Account | None:
    """The account that is kept; None where there is none, or none that can be read."""
    found = store.read_json(_FILE)
    try:
        key: Any = JWKEC.from_json(found["key"])
        return Account(key, str(found["uri"]), tuple(map(str, found["contact"])), str(found["key_id"]))
    except (KeyError, TypeError, ValueError, Error):
        return None


def _write_account(store: Store, account: Account) -> None:
    store.write_json(
        _FILE,
        {
            "uri": account.uri,
            "contact": list(account.contact),
            "key_id": account.key_id,
            "key": account.key.to_json(),
        },
    )


def _status(body: bytes) -> str:
    """The account's status; empty where the server tells none."""
    try:
        found = json.loads(body)
    except ValueError:
        return ""
    return str(found.get("status", "")) if isinstance(found, dict) else ""
