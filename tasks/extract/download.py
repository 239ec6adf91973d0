"""Documents from URLs: size limit, and no way into this machine's own network.

Every hop of a redirect is resolved and checked, and the connection goes to the very address
that was checked, so a name that resolves differently the next moment leads nowhere.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from tasks.errors import SourceError
from tasks.extract.copying import Copy
from tasks.naming import file_name

if TYPE_CHECKING:
    import httpx

    from tasks.settings import Settings

    Progress = Callable[[str, int, int], None]

_MAX_REDIRECTS = 5
_TIMEOUT_S = 30.0  # without a byte
_TOTAL_S = 3600.0  # in all: the largest allowed document at 150 kB/s
_ACCEPT = "application/pdf,application/epub+zip,text/html;q=0.8,text/plain;q=0.8,*/*;q=0.5"
_PRIVATE = "Set LECTERN_ALLOW_PRIVATE_ADDRESSES=true to allow addresses of this network"
_BY_HAND = "Check the address and the connection, or download it and name the file"


def download(url: str, settings: Settings, copy: Copy, progress: Progress | None = None) -> None:
    """Fetch a document.

    Raises:
        SourceError: the address is not allowed, the server fails or is too slow, the content
            is too large or nothing.
        StorageError: the disk is full.
    """
    import httpx  # not needed by runs over local files

    try:
        asyncio.run(_download(url, settings, copy, progress))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        problem = f"could not be fetched ({type(error).__name__}: {error})"
        raise SourceError(url, problem, _BY_HAND) from error
    except TimeoutError as error:
        problem = f"could not be fetched within {_TOTAL_S:,.0f} s"
        raise SourceError(url, problem, _BY_HAND) from error


async def _download(url: str, settings: Settings, copy: Copy, progress: Progress | None) -> None:
    """Receive what the URL leads to. All waiting is done here, so that it can be bounded."""
    import httpx

    async with (
        asyncio.timeout(_TOTAL_S),
        httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client,
        _follow(client, url, settings) as response,
    ):
        await _receive(response, copy, url, settings.download_max_mb, progress)


@asynccontextmanager
async def _follow(
    client: httpx.AsyncClient, url: str, settings: Settings
) -> AsyncIterator[httpx.Response]:
    """Open the URL, following redirects by hand so that each is checked."""
    import httpx

    current = httpx.URL(url)
    for _ in range(_MAX_REDIRECTS + 1):
        request = _request(client, current, url, settings)
        response = await client.send(request, stream=True)
        try:
            if not response.has_redirect_location:
                if response.status_code != httpx.codes.OK:
                    problem = f"the server answered {response.status_code}"
                    raise SourceError(url, problem, "Check the address in a browser")
                yield response
                return
            current = current.join(response.headers["location"])
        finally:
            await response.aclose()
    raise SourceError(url, f"redirects more than {_MAX_REDIRECTS} times", "Name the final address")


def _request(
    client: httpx.AsyncClient, current: httpx.URL, url: str, settings: Settings
) -> httpx.Request:
    """Build a request to the checked address that still asks for the name."""
    if current.scheme not in ("http", "https"):
        raise SourceError(url, f"leads to {current.scheme}:, which is not fetched")
    port = current.port or (443 if current.scheme == "https" else 80)
    address = _resolve(current.host, port, url, settings.allow_private_addresses)
    return client.build_request(
        "GET",
        current.copy_with(host=address),
        headers={"host": current.netloc.decode("ascii"), "accept": _ACCEPT},
        extensions={"sni_hostname": current.host},  # also what the certificate must name
    )


def _resolve(host: str, port: int, url: str, allow_private: bool) -> str:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        problem = f"the host {host} can't be found"
        raise SourceError(url, problem, "Check the address and the connection") from error
    addresses = [str(entry[4][0]) for entry in found]
    for address in addresses:
        if not (allow_private or ipaddress.ip_address(address.partition("%")[0]).is_global):
            raise SourceError(url, f"{host} is the private address {address}", _PRIVATE)
    return addresses[0]


async def _receive(
    response: httpx.Response, copy: Copy, url: str, max_mb: int, progress: Progress | None
) -> None:
    too_large = SourceError(
        url, f"is larger than {max_mb} MB", "Raise LECTERN_DOWNLOAD_MAX_MB to fetch it"
    )
    length = response.headers.get("content-length", "")
    total = int(length) if length.isdecimal() else 0
    if total > max_mb * 2**20:
        raise too_large
    async for data in response.aiter_bytes():
        if copy.size + len(data) > max_mb * 2**20:
            raise too_large
        copy.write(data)
        if progress:
            progress(f"fetching {file_name(url)}", copy.size, total)
    copy.media_type = response.headers.get("content-type", "")
    if not copy.size:
        raise SourceError(url, "is empty: the server sent nothing", _BY_HAND)
