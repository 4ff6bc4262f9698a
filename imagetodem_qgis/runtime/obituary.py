"""Why a child process ended, in words."""

from __future__ import annotations

_KILLED = (-9, 137)
_NO_MEMORY_ON_WINDOWS = 0xC0000017


def reason_of_end(code: int | None, child: str, advice: str) -> str:
    """Why a child ended before its work was done.

    Args:
        code: its exit status as ``subprocess`` gives it; None where it is unknown.
        child: what it was, with its article, as the beginning of a sentence.
        advice: what helps against a lack of memory, a sentence.
    """
    if code is not None and (code in _KILLED or code & 0xFFFFFFFF == _NO_MEMORY_ON_WINDOWS):
        return f"{child} was killed by the system: most often memory ran out. {advice}"
    return (
        f"{child} ended unexpectedly (exit code {code}). "
        "Run imagetodem:environmentreport to see what is wrong."
    )
