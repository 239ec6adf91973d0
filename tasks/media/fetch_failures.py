"""What went wrong while fetching, said in one line: from yt-dlp's errors, by their classes.

Where a site's own words are all there is, they are kept, cleaned of yt-dlp's advice on its
command line. Runs in the process that fetches.
"""

from __future__ import annotations

import errno
import re
import socket
from collections.abc import Iterator
from typing import TypeVar

from tasks.media.fetch_request import Failure, FetchRequest
from tasks.media.guarded import NotAllowedError

_Error = TypeVar("_Error", bound=BaseException)

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NO_ROOM = "Free some, or set LECTERN_HOME to a folder on another disk"
_CONNECTION = "Check the address and the connection"
_AGAIN = "Run again to go on from there"
_COOKIES = (
    "If you can watch it in a browser, export the site's cookies and set LECTERN_MEDIA_COOKIES"
)
_OTHER_PAGE = "Name the page of a video or a recording, or the file itself"
# Sites tell these in words alone; yt-dlp has no class for them.
_LOGIN = re.compile(
    r"--cookies|--username|log ?in\b|sign in\b|registered users|private video", re.I
)
_LIVE = re.compile(
    r"live event will begin|premieres? (in|will)|is offline|not currently live", re.I
)
_DRM = re.compile(r"\bDRM\b")
_NO_FORMATS = re.compile(r"No video formats found|Requested format is not available")
_PROGRAM = re.compile(r"\bffmpeg\b", re.I)
_RUNTIME = re.compile(r"JavaScript runtime|\bJS runtime|challenge solving|nsig", re.I)
_NOISE = re.compile(
    r"\x1b\[[0-9;]*m|^\s*ERROR:\s*|^\s*\[[\w:+.-]+\]\s*([\w.-]+:\s+)?|\s*\(caused by .*"
    r"|[;,]? *please report this issue on .*|\s*Use --.*|\s*See +https?://\S+.*",
    re.I | re.S,
)


class FetchError(Exception):
    """What this side finds wrong by itself."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.problem)
        self.failure = failure


def problem(text: str, remedy: str = "") -> FetchError:
    return FetchError(Failure(problem=text, remedy=remedy))


def no_media(text: str = "holds nothing that can be played") -> FetchError:
    return FetchError(Failure(kind="no_media", problem=text, remedy=_OTHER_PAGE))


def too_large(max_mb: int) -> FetchError:
    return problem(f"is larger than {max_mb} MB", "Raise LECTERN_MEDIA_MAX_MB to fetch it")


def is_live() -> FetchError:
    return problem("is live, and has no end yet", "Fetch its recording once it is over")


def explain(error: Exception, request: FetchRequest) -> Failure:
    """Say what an error means, looking at all that it came from."""
    chain = list(_chain(error))
    if own := _first(chain, FetchError):
        return own.failure
    if refused := _first(chain, NotAllowedError):
        return Failure(problem=refused.problem, remedy=refused.remedy)
    network = None if _is_words(chain) else _of_network(chain, request)
    return _of_system(chain, request) or network or _of_site(error, chain, request)


def is_refused(error: BaseException | None) -> bool:
    """Say whether it comes from the guard, so that another attempt is of no use."""
    return error is not None and _first(list(_chain(error)), NotAllowedError) is not None


def _is_words(chain: list[BaseException]) -> bool:
    """Say whether a site's extractor tells more than the answer of the server that it is about."""
    from yt_dlp.networking.exceptions import RequestError
    from yt_dlp.utils import ExtractorError

    told = _first(chain, ExtractorError)
    return told is not None and not isinstance(told.cause, RequestError)


def _of_system(chain: list[BaseException], request: FetchRequest) -> Failure | None:
    for each in chain:
        if isinstance(each, MemoryError):
            return Failure(problem="needs more memory than allowed to be read")
        code = each.errno if isinstance(each, OSError) else None
        if code in _FULL:
            return Failure(
                kind="storage", problem="no space is left for what is fetched", remedy=_NO_ROOM
            )
        if code == errno.EFBIG:
            return too_large(request.max_mb).failure
    return None


def _of_network(chain: list[BaseException], request: FetchRequest) -> Failure | None:
    from yt_dlp.networking.exceptions import (
        CertificateVerifyError,
        HTTPError,
        NoSupportingHandlers,
        ProxyError,
        TransportError,
    )
    from yt_dlp.utils import ContentTooShortError

    if http := _first(chain, HTTPError):
        return _of_status(http.status)
    if _first(chain, socket.gaierror):
        return Failure(problem="its host can't be found", remedy=_CONNECTION)
    if _first(chain, CertificateVerifyError):
        text = "its server can't prove that it is the one (its certificate is not valid)"
        return Failure(problem=text, remedy="Check the address, and this machine's clock")
    if _first(chain, ProxyError):
        return Failure(problem="the proxy fails", remedy="Check LECTERN_MEDIA_PROXY")
    if _first(chain, ConnectionRefusedError):
        remedy = f"{_CONNECTION}, and LECTERN_MEDIA_PROXY" if request.proxy else _CONNECTION
        return Failure(problem="its server takes no connection", remedy=remedy)
    if _first(chain, TimeoutError):
        return Failure(problem="its server does not answer in time", remedy=_AGAIN)
    if _first(chain, TransportError) or _first(chain, ContentTooShortError):
        return Failure(problem="the connection broke off", remedy=_AGAIN)
    if unsupported := _first(chain, NoSupportingHandlers):
        return Failure(problem=f"can't be fetched ({_cleaned(str(unsupported))})")
    return None


def _of_status(status: int) -> Failure:
    if status in (404, 410):
        return Failure(
            problem=f"is not there (HTTP {status})", remedy="Check the address in a browser"
        )
    if status in (401, 403):
        return Failure(problem=f"its server refuses it (HTTP {status})", remedy=_COOKIES)
    if status == 407:
        return Failure(problem="the proxy wants a password", remedy="Check LECTERN_MEDIA_PROXY")
    if status == 429:
        return Failure(problem="its server is asked too often (HTTP 429)", remedy="Try again later")
    if status == 451:
        return Failure(problem="is withheld where you are, by law (HTTP 451)")
    if 300 <= status < 400:
        return Failure(problem="redirects too often", remedy="Name the final address")
    if status >= 500:
        return Failure(problem=f"its server fails (HTTP {status})", remedy="Try again later")
    return Failure(problem=f"its server answered {status}", remedy="Check the address in a browser")


def _of_site(error: Exception, chain: list[BaseException], request: FetchRequest) -> Failure:
    from yt_dlp.cookies import CookieLoadError
    from yt_dlp.utils import (
        ExtractorError,
        GeoRestrictedError,
        UnsupportedError,
        UserNotLive,
    )

    if _first(chain, UnsupportedError):
        return no_media().failure
    if _first(chain, GeoRestrictedError):
        remedy = "LECTERN_MEDIA_PROXY may name a proxy elsewhere"
        return Failure(problem="its site does not show it where you are", remedy=remedy)
    if _first(chain, UserNotLive):
        return is_live().failure
    if _first(chain, CookieLoadError):
        remedy = "Export it again, in Netscape's format"
        return Failure(problem=f"the cookies in {request.cookies} can't be read", remedy=remedy)
    told = _first(chain, ExtractorError)
    return _of_words(told.orig_msg if told else str(error), type(chain[-1]).__name__, request)


def _of_words(words: str, kind: str, request: FetchRequest) -> Failure:
    text = _cleaned(words)
    if _DRM.search(words):
        return Failure(problem="is protected against copying (DRM)")
    if _LIVE.search(words):
        return is_live().failure
    if _LOGIN.search(words):
        return Failure(problem=f"its site wants to know who you are ({text})", remedy=_COOKIES)
    if _RUNTIME.search(words) and request.js_runtime == "none":
        remedy = "Install one, and set LECTERN_MEDIA_JS_RUNTIME"
        return Failure(problem="its site needs a JavaScript runtime", remedy=remedy)
    if _PROGRAM.search(words):
        return Failure(
            problem="comes in a way that needs another program (ffmpeg), which is not run"
        )
    if _NO_FORMATS.search(words):
        return no_media().failure
    return Failure(problem=f"can't be fetched ({text or kind})", remedy=_CONNECTION)


def _cleaned(words: str) -> str:
    """Return the first sentence of what yt-dlp or a site says."""
    text = " ".join(_NOISE.sub("", words).split())
    return re.split(r"(?<=[.!?])\s", text, maxsplit=1)[0].rstrip(".")[:300]


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all that it came from; yt-dlp keeps some of them in fields of its own."""
    waiting: list[object] = [error]
    seen: set[int] = set()
    while waiting:
        each = waiting.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        kept = getattr(each, "exc_info", None)
        waiting += [kept[1] if isinstance(kept, tuple) else None]
        waiting += [getattr(each, "cause", None), getattr(each, "reason", None)]
        waiting += [each.__cause__, each.__context__]
        waiting += getattr(each, "unexpected_errors", [])


def _first(chain: list[BaseException], kind: type[_Error]) -> _Error | None:
    return next((each for each in chain if isinstance(each, kind)), None)
