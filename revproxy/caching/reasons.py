"""Why the cache decided as it did: the log, Cache-Status and ``revproxy explain`` say what the code branched on.

Every member tells, in order: the token that Cache-Status carries as ``detail`` (RFC 9211 §2.8), a sentence for people,
where that is written, and what to do about it, if anything can be done. ``forward`` is the ``fwd`` parameter of
Cache-Status (RFC 9211 §2.2) where the reason makes a request go on.
"""

from __future__ import annotations

from enum import Enum


class Reason(Enum):
    """A reason; compare members by identity."""

    detail: str
    sentence: str
    source: str
    remedy: str
    forward: str

    def __init__(self, detail: str, sentence: str, source: str, remedy: str = "", forward: str = "") -> None:
        self.detail = detail
        self.sentence = sentence
        self.source = source
        self.remedy = remedy
        self.forward = forward

    def explain(self) -> str:
        """The sentence, its source and the remedy in one line."""
        said = f"{self.sentence}, {self.source}"
        return f"{said}; {self.remedy}" if self.remedy else said

    # Answered from the store.
    FRESH = ("fresh", "the stored response is fresh", "RFC 9111 §4.2")
    FRESH_HEURISTIC = (
        "fresh-heuristic",
        "the stored response is fresh by a guess from its Last-Modified",
        "RFC 9111 §4.2.2",
        "send Cache-Control: max-age, or set cache.heuristic = false",
    )
    FRESH_TTL = ("fresh-ttl", "the stored response is fresh by the configured time", "cache.ttl of the route")
    FRESH_FORCED = (
        "fresh-forced",
        "the stored response is fresh, and stored against what it says itself",
        "cache.force of the route",
    )
    FRESH_IMMUTABLE = (
        "immutable",
        "the stored response is fresh and will not change, so a reload does not validate it",
        "RFC 8246 §2.1",
        "a request with Cache-Control: no-cache does",
    )
    CLIENT_ACCEPTS_STALE = (
        "max-stale",
        "the stored response is stale, and the client accepts that",
        "RFC 9111 §5.2.1.2",
        "send must-revalidate to forbid it",
    )
    STALE_WHILE_REVALIDATE = (
        "stale-while-revalidate",
        "the stored response is stale, and used while it is validated in the background",
        "RFC 5861 §3",
    )
    STALE_IF_ERROR = (
        "stale-if-error",
        "the stored response is stale, and used because the server failed",
        "RFC 5861 §4",
    )

    # Not answered from the store: nothing there, or nothing that fits.
    MISS = ("miss", "nothing is stored for this URL", "RFC 9111 §4", "", "uri-miss")
    VARY_MISS = (
        "vary-miss",
        "what is stored was selected by other request fields",
        "RFC 9111 §4.1",
        "let the server name fewer fields in Vary",
        "vary-miss",
    )
    PARTIAL = (
        "partial",
        "only a part of the representation is stored, and not all that is asked for",
        "RFC 9111 §3.3",
        "",
        "partial",
    )
    METHOD = ("method", "only GET and HEAD are answered from the store", "RFC 9111 §4", "", "method")
    UNSAFE_METHOD = (
        "unsafe-method",
        "an unsafe method is always written through to the server",
        "RFC 9111 §4",
        "",
        "method",
    )
    REQUEST_CONTENT = (
        "request-content",
        "the request has content, which the cache key does not cover",
        "RFC 9110 §9.3.1",
        "send such requests with POST",
        "bypass",
    )
    UPGRADE = ("upgrade", "the request asks for another protocol", "RFC 9110 §7.8", "", "bypass")
    BYPASS_COOKIE = (
        "bypass-cookie",
        "the request carries a cookie that bypasses the cache",
        "cache.bypass_cookies of the route",
        "remove the cookie's name there",
        "bypass",
    )
    BYPASS_HEADER = (
        "bypass-header",
        "the request carries a field that bypasses the cache",
        "cache.bypass_headers of the route",
        "remove the field's name there",
        "bypass",
    )
    REWRITING_FIELD = (
        "rewriting-field",
        "the request carries a field by which servers are known to replace its host, path or method, or has one"
        " dropped by Connection",
        "a bound of the cache",
        "remove the field with request_headers.remove",
        "bypass",
    )
    CLIENT_PRECONDITION = (
        "if-match",
        "If-Match and If-Unmodified-Since are for the server to evaluate",
        "RFC 9111 §4.3.2",
        "",
        "request",
    )
    ONLY_IF_CACHED = (
        "only-if-cached",
        "the client wants a stored response, and none can be used",
        "RFC 9111 §5.2.1.7",
    )

    # To be validated first.
    CLIENT_NO_CACHE = (
        "request-no-cache",
        "the client wants the stored response to be validated",
        "RFC 9111 §5.2.1.4",
        "set cache.client_directives = false",
        "request",
    )
    CLIENT_PRAGMA = (
        "request-pragma",
        "Pragma: no-cache, without Cache-Control, wants the stored response to be validated",
        "RFC 9111 §5.4",
        "set cache.client_directives = false",
        "request",
    )
    CLIENT_MAX_AGE = (
        "request-max-age",
        "the stored response is older than the client accepts",
        "RFC 9111 §5.2.1.1",
        "set cache.client_directives = false",
        "request",
    )
    CLIENT_MIN_FRESH = (
        "request-min-fresh",
        "the stored response is not fresh for as long as the client asks",
        "RFC 9111 §5.2.1.3",
        "set cache.client_directives = false",
        "request",
    )
    STALE = ("stale", "the stored response is stale", "RFC 9111 §4.2", "send a longer max-age or s-maxage", "stale")
    STALE_MUST_REVALIDATE = (
        "must-revalidate",
        "the stored response is stale and must be validated before it is used",
        "RFC 9111 §5.2.2.2",
        "send no must-revalidate or proxy-revalidate",
        "stale",
    )
    STALE_S_MAXAGE = (
        "s-maxage",
        "the stored response is stale, and s-maxage forbids a shared cache to use it so",
        "RFC 9111 §5.2.2.10",
        "send max-age instead, or CDN-Cache-Control, or set cache.stale_beside_s_maxage",
        "stale",
    )
    NO_CACHE = (
        "no-cache",
        "the stored response must be validated before each use",
        "RFC 9111 §5.2.2.4",
        "send max-age instead of no-cache",
        "stale",
    )
    INVALIDATED = (
        "invalidated",
        "the stored response was invalidated by a request that may have changed it",
        "RFC 9111 §4.4",
        "",
        "stale",
    )

    # Stored.
    STORED = ("stored", "the response tells how long it is fresh", "RFC 9111 §4.2.1")
    STORED_TARGETED = ("stored-targeted", "a targeted field tells how long the response is fresh", "RFC 9213 §2.2")
    STORED_HEURISTIC = (
        "stored-heuristic",
        "the response is fresh for a part of the time since it was last modified",
        "RFC 9111 §4.2.2",
        "send Cache-Control: max-age, or set cache.heuristic = false",
    )
    STORED_TO_VALIDATE = (
        "stored-to-validate",
        "the response is not fresh, but its validator spares sending it again",
        "RFC 9111 §4.3",
        "send max-age or s-maxage, or set cache.ttl",
    )
    STORED_TTL = ("stored-ttl", "the configuration tells how long the response is fresh", "cache.ttl of the route")
    STORED_NEGATIVE = (
        "stored-negative",
        "the configuration tells how long this error is kept",
        "cache.negative_ttl of the route",
    )
    STORED_FORCED = (
        "stored-forced",
        "the response forbids to store it, and the configuration overrides that",
        "cache.force of the route",
    )
    STORED_PARTIAL = ("stored-partial", "a part of the representation is kept", "RFC 9111 §3.3")

    # Not stored.
    INTERIM = ("interim", "an interim response is never stored", "RFC 9111 §3")
    INVALID_STATUS = ("invalid-status", "a status above 599 has no meaning", "RFC 9110 §15")
    NOT_MODIFIED = ("not-modified", "a 304 is no response to store, it updates one", "RFC 9111 §4.3.4")
    HEAD = ("head", "a response to HEAD has no content to store", "RFC 9110 §9.3.2")
    METHOD_NOT_STORED = ("method-not-stored", "responses to this method are not stored", "RFC 9111 §3")
    POST = (
        "post",
        "a response to POST is stored only with explicit freshness and a Content-Location that is its own target",
        "RFC 9110 §9.3.3",
    )
    STATUS_NOT_STORED = (
        "status-not-stored",
        "a response with this status answers one request and no other",
        "RFC 9110 §15",
    )
    STATUS_NOT_CACHEABLE = (
        "status-not-cacheable",
        "responses with this status are not stored without explicit freshness",
        "RFC 9111 §3",
        "send max-age or s-maxage, or set cache.ttl or cache.negative_statuses",
    )
    STATUS_NOT_UNDERSTOOD = (
        "must-understand",
        "the response wants a cache that understands its status",
        "RFC 9111 §5.2.2.3",
    )
    CLIENT_NO_STORE = ("request-no-store", "the client forbids to store the response", "RFC 9111 §5.2.1.5")
    NO_STORE = (
        "no-store",
        "the response forbids to store it",
        "RFC 9111 §5.2.2.5",
        "send no no-store, or set cache.force and cache.ttl",
    )
    PRIVATE = (
        "private",
        "the response is for one user",
        "RFC 9111 §5.2.2.7",
        "send no private, or set cache.force and cache.ttl",
    )
    AUTHORIZATION = (
        "authorization",
        "the request carried Authorization, and the response does not allow to share it",
        "RFC 9111 §3.5",
        "send public, s-maxage or must-revalidate",
    )
    SET_COOKIE = (
        "set-cookie",
        "Set-Cookie and no explicit freshness",
        "RFC 9111 §3 and §7.3",
        "set cache.ttl or send s-maxage",
    )
    SET_COOKIE_NEVER = (
        "set-cookie",
        "the response sets a cookie",
        "cache.set_cookie of the route",
        'set cache.set_cookie = "explicit" or "strip"',
    )
    VARY_ANY = (
        "vary-any",
        "Vary: * can never match another request, nor can a field that we write for each client",
        "RFC 9111 §4.1",
        "let the server name the fields that it looks at",
    )
    VARY_OVERSIZED = (
        "vary-oversized",
        "the fields that Vary names are too many or too large",
        "a bound of the cache",
        "let the server name fewer fields in Vary",
    )
    LABELS_EXCESS = (
        "labels-excess",
        "the response has more cache tags or groups than are kept",
        "a bound of the cache",
        "send fewer",
    )
    NEVER_USABLE = (
        "never-usable",
        "the response is not fresh and has no validator, so it could never be used",
        "RFC 9111 §3",
        "send max-age, s-maxage or ETag, or set cache.ttl",
    )
    TOO_LARGE = ("too-large", "the response is larger than what is kept", "cache.largest of the route", "raise it")
    ODD_HOST = (
        "odd-host",
        "the host was not written in its canonical form, and the answer may be about the spelling",
        "RFC 9110 §4.2.3",
    )
    RANGE_NOT_UNDERSTOOD = (
        "range-not-understood",
        "the part of the representation is not one that can be kept",
        "RFC 9111 §3.3",
    )
    IF_RANGE = (
        "if-range",
        "a part that answers If-Range may lack fields of the representation",
        "RFC 9110 §15.3.7",
    )
    WHOLE_STORED = (
        "whole-stored",
        "the whole representation is stored already, and fresh",
        "RFC 9111 §3.4",
    )
    INCOMPLETE = (
        "incomplete",
        "the response broke off, and without a strong validator the rest can't be added",
        "RFC 9111 §3.4",
        "send a strong ETag",
    )

    # After an answer to a validation.
    VALIDATED = ("validated", "the server says that the stored response is still valid", "RFC 9111 §4.3.4")
    VALIDATED_VARIANT = (
        "validated-variant",
        "the server says that a response stored for other request fields is valid for this request",
        "RFC 9111 §4.3.2",
    )
    CLIENTS_VALIDATOR = (
        "clients-validator",
        "the 304 answers the client's own validator",
        "RFC 9110 §15.4.5",
    )
    UNKNOWN_VALIDATOR = (
        "unknown-validator",
        "the 304 names a validator of nothing that is stored, so the request is sent without conditions",
        "RFC 9111 §4.3.4",
    )
    REPLACED = ("replaced", "the server sent another representation", "RFC 9111 §4.3.3")
    HEAD_AGREES = ("head-agrees", "a response to HEAD agrees with the stored response", "RFC 9111 §4.3.5")
    HEAD_DISAGREES = (
        "head-disagrees",
        "a response to HEAD differs from the stored response, which is stale now",
        "RFC 9111 §4.3.5",
    )

    # After a failure.
    NOTHING_STORED = ("nothing-stored", "the server failed and nothing is stored", "RFC 9111 §4.2.4")
    NOT_AN_ERROR = ("not-an-error", "the status is none for which a stale response is used", "RFC 5861 §4")
    TOO_STALE = (
        "too-stale",
        "the server failed, and the stored response is staler than allowed",
        "RFC 5861 §4",
        "send stale-if-error or set cache.stale_if_error",
    )
