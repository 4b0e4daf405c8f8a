"""``headrace role|quota|weight …``: how the cluster is shared among roles."""

from __future__ import annotations

from typing import Any

import click
import msgspec

from headrace.cli import amounts, output
from headrace.cli.api import NOT_THERE, CommandError, Server
from headrace.cli.options import Finite, json_option, master_option, master_server, run
from headrace.cli.orders import order
from headrace.kernel.http import HttpClient

force_option = click.option("--force", is_flag=True, help="Even if all guarantees together exceed the cluster.")


class _Quota(msgspec.Struct, frozen=True):
    guarantee: dict[str, Any] = {}
    limit: dict[str, Any] = {}
    consumed: dict[str, Any] = {}


class _Role(msgspec.Struct):
    name: str = ""
    weight: float = 1.0
    frameworks: list[str] = []
    allocated: dict[str, Any] = {}
    offered: dict[str, Any] = {}
    reserved: dict[str, Any] = {}
    quota: _Quota = _Quota()


class _Roles(msgspec.Struct):
    roles: list[_Role] = []


class _Scalar(msgspec.Struct):
    value: float = 0.0


class _Config(msgspec.Struct):
    """A role's quota: by resource name, what it is guaranteed and what it may have at most."""

    role: str = ""
    guarantees: dict[str, _Scalar] = {}
    limits: dict[str, _Scalar] = {}


class _Configs(msgspec.Struct):
    configs: list[_Config] = []


class _Weight(msgspec.Struct):
    role: str = ""
    weight: float = 1.0


@click.group()
def role() -> None:
    """Roles: who shares the cluster, and what each holds."""


@role.command("list")
@master_option
@json_option
def list_roles(master: str, as_json: bool) -> None:
    """List the roles that have frameworks, quota, a weight or reservations."""
    body = run(lambda http: master_server(master, http).get("/master/roles", dict[str, Any]))
    if as_json:
        output.json(body)
        return
    output.table(
        ["ROLE", "#WEIGHT", "#FRAMEWORKS", "HOLDS", "OFFERED", "RESERVED", "GUARANTEE", "LIMIT"],
        [
            (
                one.name,
                f"{one.weight:g}",
                len(one.frameworks),
                amounts.shown(one.allocated),
                amounts.shown(one.offered),
                amounts.shown(one.reserved),
                amounts.shown(one.quota.guarantee),
                amounts.shown(one.quota.limit),
            )
            for one in msgspec.convert(body, _Roles).roles
        ],
        "No roles.",
    )


@click.group()
def quota() -> None:
    """Quota of top-level roles: what each is guaranteed, and what it may have at most."""


@quota.command("list")
@master_option
@json_option
def list_quota(master: str, as_json: bool) -> None:
    """List the roles with quota."""
    body = run(lambda http: master_server(master, http).get("/master/quota", dict[str, Any]))
    if as_json:
        output.json(body)
        return
    roles = run(lambda http: master_server(master, http).get("/master/roles", _Roles)).roles
    consumed = {one.name: one.quota.consumed for one in roles}
    output.table(
        ["ROLE", "GUARANTEE", "LIMIT", "CONSUMED"],
        [
            (
                one.role,
                amounts.shown(_numbers(one.guarantees)),
                amounts.shown(_numbers(one.limits)),
                amounts.shown(consumed.get(one.role, {})),
            )
            for one in msgspec.convert(body, _Configs).configs
        ],
        "No role has quota.",
    )


def _set(role_name: str, guarantees: dict[str, float], limits: dict[str, float], force: bool) -> dict[str, Any]:
    config = {"role": role_name, "guarantees": _scalars(guarantees), "limits": _scalars(limits)}
    return {"quota_configs": [config], **({"force": True} if force else {})}


def _amount_options(command: Any) -> Any:
    for option in (
        click.option(
            "--limit", callback=amounts.read, metavar="AMOUNTS", help="At most; what is not named is not limited."
        ),
        click.option(
            "--guarantee", callback=amounts.read, metavar="AMOUNTS", help="At least, as cpus:4;mem:8192 (MiB)."
        ),
    ):
        command = option(command)
    return command


@quota.command("set")
@click.argument("role_name", metavar="ROLE")
@_amount_options
@force_option
@master_option
def set_quota(role_name: str, guarantee: dict[str, float], limit: dict[str, float], force: bool, master: str) -> None:
    """Give ROLE this quota and no other. Of resources that are not named nothing is guaranteed or limited."""
    if not guarantee and not limit:
        raise click.UsageError("give --guarantee, --limit or both; `headrace quota remove` takes quota back")
    run(
        lambda http: order(
            master_server(master, http), "UPDATE_QUOTA", **_set(role_name, guarantee or {}, limit or {}, force)
        )
    )
    click.echo(f"role {role_name} has quota: {_both(guarantee or {}, limit or {})}")


@quota.command("update")
@click.argument("role_name", metavar="ROLE")
@_amount_options
@force_option
@master_option
def update_quota(
    role_name: str, guarantee: dict[str, float], limit: dict[str, float], force: bool, master: str
) -> None:
    """Change the named amounts of ROLE's quota; the others stay. A guarantee of 0 is none."""
    if not guarantee and not limit:
        raise click.UsageError("give --guarantee, --limit or both")

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        before = await _quota_of(server, role_name)
        guarantees = {**_numbers(before.guarantees), **guarantee}
        limits = {**_numbers(before.limits), **limit}
        await order(server, "UPDATE_QUOTA", **_set(role_name, guarantees, limits, force))
        click.echo(f"role {role_name} has quota: {_both(guarantees, limits)}")

    run(work)


@quota.command()
@click.argument("role_name", metavar="ROLE")
@master_option
def remove(role_name: str, master: str) -> None:
    """Take ROLE's quota back."""

    async def work(http: HttpClient) -> None:
        server = master_server(master, http)
        await _quota_of(server, role_name)
        await order(server, "UPDATE_QUOTA", quota_configs=[{"role": role_name}])
        click.echo(f"role {role_name} has no quota")

    run(work)


@click.group()
def weight() -> None:
    """Weights of roles: one of weight 2 gets twice the share of one of weight 1."""


@weight.command("list")
@master_option
@json_option
def list_weights(master: str, as_json: bool) -> None:
    """List the weights that were set; every other role has 1."""
    body = run(lambda http: master_server(master, http).get("/master/weights", list[dict[str, Any]]))
    if as_json:
        output.json(body)
        return
    rows = [(one.role, f"{one.weight:g}") for one in msgspec.convert(body, list[_Weight])]
    output.table(["ROLE", "#WEIGHT"], rows, "All roles have the weight 1.")


@weight.command("set")
@click.argument("role_name", metavar="ROLE")
@click.argument("value", metavar="WEIGHT", type=Finite(0, min_open=True))
@master_option
def set_weight(role_name: str, value: float, master: str) -> None:
    """Give ROLE a weight. Offers that are out for it are taken back and made anew."""
    infos = [{"role": role_name, "weight": value}]
    run(lambda http: order(master_server(master, http), "UPDATE_WEIGHTS", weight_infos=infos))
    click.echo(f"role {role_name} has the weight {value:g}")


async def _quota_of(server: Server, role_name: str) -> _Config:
    configs = (await server.get("/master/quota", _Configs)).configs
    found = next((one for one in configs if one.role == role_name and (one.guarantees or one.limits)), None)
    if found is None:
        raise CommandError(f"role {role_name} has no quota; `headrace quota list` shows which have", NOT_THERE)
    return found


def _numbers(scalars: dict[str, _Scalar]) -> dict[str, float]:
    return {name: scalar.value for name, scalar in scalars.items()}


def _scalars(numbers: dict[str, float]) -> dict[str, Any]:
    return {name: {"value": value} for name, value in numbers.items()}


def _both(guarantees: dict[str, float], limits: dict[str, float]) -> str:
    return f"guarantee {amounts.shown(guarantees, 'none')}; limit {amounts.shown(limits, 'none')}"
