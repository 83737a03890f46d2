"""How much a file may unpack to: a few kilobytes from a stranger must not fill the memory."""

from collections.abc import Iterable

LARGEST = 4 * 2**30  # bytes of a file that is read at all, unless max_bytes allows more: an empty disk image packs well
ALWAYS = 64 * 2**20  # bytes that any file may unpack to
TIMES = 32  # and how many times its own size; weights that were trained shrink by a tenth


def limit(packed: int, max_bytes: int | None = None) -> int:
    """Returns how many bytes a file of `packed` bytes may unpack to; max_bytes, if given, takes the rule's place.

    >>> limit(10), limit(2**30), limit(10, max_bytes=2**33)
    (67108864, 34359738368, 8589934592)
    """
    return max(ALWAYS, TIMES * packed) if max_bytes is None else max_bytes


def check_unpacked(sizes: Iterable[int], packed: int, max_bytes: int | None) -> None:
    """Raises ValueError if parts of these sizes in bytes are together more than the limit."""
    total = sum(sizes)
    if total > limit(packed, max_bytes):
        raise ValueError(
            f"it unpacks to {total / 1e6:.1f} MB from {packed / 1e6:.1f} MB, more than weights ever shrink: "
            f"if you trust it, allow it with max_bytes={total}, or with --max-bytes {total} on a command line"
        )
