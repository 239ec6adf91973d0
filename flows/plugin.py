"""Let `prefect deployment run summarize-pdf` find its deployment without the flow's name.

Prefect's own form is `flow/deployment`. This plugin (an entry point `prefect.plugins`,
switched on in pyproject.toml) makes the client look a bare name up first. It knows nothing
of Lectern's flows, and leaves every name with a slash to Prefect.

It wraps a method of a private class: tests/flows/test_plugin.py pins that it is there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TYPE_CHECKING, Any

from prefect.plugins import HookContext, SetupResult, register_hook

if TYPE_CHECKING:
    from prefect.client.schemas.responses import DeploymentResponse

    Read = Callable[[Any, str], Awaitable[DeploymentResponse]]

PREFECT_PLUGIN_API_REQUIRES = ">=0.1,<1"


@register_hook
def setup_environment(*, ctx: HookContext) -> SetupResult | None:
    """Wrap the client's lookup by name; do nothing, and say so, if Prefect has moved it."""
    try:
        from prefect.client.orchestration._deployments.client import DeploymentAsyncClient

        read = DeploymentAsyncClient.read_deployment_by_name
    except (ImportError, AttributeError):
        ctx.logger_factory("prefect.plugins").warning(
            "Lectern's plugin does not fit this Prefect: name deployments flow/deployment."
        )
        return None
    if not hasattr(read, "__wrapped__"):
        setattr(DeploymentAsyncClient, read.__name__, accepting_bare_names(read))
    return None


def accepting_bare_names(read: Read) -> Read:
    """Return `read` with a step before it: a name without a slash is completed, if it can be."""

    @wraps(read)
    async def read_deployment_by_name(client: Any, name: str) -> DeploymentResponse:
        full = name if "/" in name else await _full_name(client, name)
        return await read(client, full)

    return read_deployment_by_name


async def _full_name(client: Any, name: str) -> str:
    from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterName

    found = await client.read_deployments(
        deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=[name])), limit=10
    )
    names = sorted([f"{(await client.read_flow(each.flow_id)).name}/{name}" for each in found])
    if len(names) > 1:
        # Exit as Prefect's own commands do; an exception would be shown with a traceback.
        from prefect.cli._utilities import exit_with_error

        exit_with_error(f"Several deployments are called {name!r}: {', '.join(names)}")
    # Nothing found: Prefect says so in its own words, of a name in its own form.
    return names[0] if names else f"{name}/{name}"
