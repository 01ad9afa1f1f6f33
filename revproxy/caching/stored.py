"""A stored response, as the policy judges it and the stores keep it."""

from __future__ import annotations

from typing import Any, Final

from revproxy.http.fields import Fields

Selecting = tuple[tuple[bytes, bytes | None], ...]
"""The request's fields that Vary nominated: lower-case names in order, each with its normalised value, None for a field
that was not there (RFC 9111 §4.1)."""


class StoredHead:
    """All that is remembered of an answer but its content. Never changed: a 304 makes a new one (RFC 9111 §4.3.4).

    Times are seconds of the wall clock.
    """

    __slots__ = (
        "fields",
        "first",
        "groups",
        "invalidated",
        "key",
        "memo",
        "method",
        "reason",
        "request_time",
        "response_time",
        "selecting",
        "status",
        "tags",
        "total",
        "url",
    )

    def __init__(
        self,
        key: bytes,
        status: int,
        fields: Fields,
        *,
        request_time: float,
        response_time: float,
        url: bytes,
        method: bytes = b"GET",
        reason: bytes = b"",
        selecting: Selecting = (),
        first: int = 0,
        total: int = -1,
        tags: frozenset[bytes] = frozenset(),
        groups: frozenset[bytes] = frozenset(),
        invalidated: bool = False,
    ) -> None:
        self.key = key
        """The primary cache key (RFC 9111 §2)."""
        self.status = status
        self.fields = fields
        """Those that may be stored (RFC 9111 §3.1), and none that frames the content."""
        self.request_time = request_time
        """When the request that brought it was sent (RFC 9111 §4.2.3)."""
        self.response_time = response_time
        """When its head came."""
        self.url = url
        """The target URI without its fragment, for whoever purges: ``https://example.com/a?b``."""
        self.method = method
        self.reason = reason
        self.selecting = selecting
        """What a request must have in common with the one that brought it."""
        self.first = first
        """The offset in the representation of the first octet that is stored: not 0 only where it is incomplete."""
        self.total = total
        """The octets of the complete representation; negative while that is not known (RFC 9111 §3.3)."""
        self.tags = tags
        """Names by which an operator purges it: Surrogate-Key, Cache-Tag."""
        self.groups = groups
        """Its cache groups (RFC 9875), which belong to the origin of ``url``."""
        self.invalidated = invalidated
        """Whether it must be validated before it is used again (RFC 9111 §4.4)."""
        self.memo: Any = None
        """What the policy derived from it; never part of the value, never stored."""

    def as_invalidated(self) -> StoredHead:
        """The same, but it must be validated before it is used again."""
        return StoredHead(
            self.key,
            self.status,
            self.fields,
            request_time=self.request_time,
            response_time=self.response_time,
            url=self.url,
            method=self.method,
            reason=self.reason,
            selecting=self.selecting,
            first=self.first,
            total=self.total,
            tags=self.tags,
            groups=self.groups,
            invalidated=True,
        )

    def __repr__(self) -> str:
        return f"<StoredHead {self.status} {self.url!r} {self.selecting!r}>"


class StoredResponse:
    """A head and where its content is. Its store made it; the content can be read as long as this value is held."""

    __slots__ = ("content", "head", "mark")

    def __init__(self, head: StoredHead, content: Content, mark: Any = None) -> None:
        self.head = head
        self.content = content
        self.mark = mark
        """The store's own, by which it finds the response again."""


class Content:
    """The octets of a stored response; stores derive their own kinds from it.

    ``octets`` is all of it where the store has it in memory at no cost (small ones); else None, and ``read`` is asked.
    """

    __slots__ = ("octets", "size")

    def __init__(self, octets: bytes | None, size: int) -> None:
        self.octets = octets
        self.size = size
        """Octets that are stored."""

    def read(self, offset: int, most: int) -> bytes:
        """Up to ``most`` octets from ``offset``; empty at the end. Raises OSError where the store lost them."""
        octets = self.octets
        return b"" if octets is None else octets[offset : offset + most]


NO_CONTENT: Final = Content(b"", 0)
