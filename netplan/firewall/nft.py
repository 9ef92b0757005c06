"""Keep our nf_tables tables as the store says. Raises KernelRefused.

A table is one transaction: it is there whole or not at all. Whoever flushes the ruleset (a firewall's restart does)
finds it built again by the next attach or create. Networks without a bridge have no rules.
"""

from __future__ import annotations

import errno

from netplan.family import V4, V6
from netplan.firewall import rules
from netplan.netlink import nft
from netplan.record import replace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family
    from netplan.rows import EndpointRow, NetworkRow
    from netplan.store import Store


def require(store: Store) -> None:
    """Before anything is made: raises KernelRefused where there is no nf_tables."""
    _has_table(store, V4)


def ensure_network(store: Store, network: NetworkRow) -> None:
    """The tables and the network's chains; only a question for each family if all is there."""
    if network.bridged:
        for family, _area in network.areas:
            _ensure(store, network, family)


def _ensure(store: Store, network: NetworkRow, family: Family) -> None:
    if nft.has_chain(store.filter, family.inet, store.instance, f"nat-{network.bridge}"):
        return
    if not _has_table(store, family):
        with store:
            if not _has_table(store, family):  # nobody was faster
                rebuild(store, family)
                return
    batch = nft.Ruleset(family.inet, store.instance)
    rules.network_chains(batch, network, family)
    errors = batch.attempt(store.filter)
    if errors:
        _after_failure(store, network, family, errors)


def _has_table(store: Store, family: Family) -> bool:
    """Asked before what would fail without the table: a refused transaction waits for a grace period, 6 to 13 ms."""
    return nft.has_chain(store.filter, family.inet, store.instance, "forward")


def _after_failure(
    store: Store, network: NetworkRow | None, family: Family, errors: dict[int, tuple[int, str]]
) -> None:
    """Nothing of the transaction was done: because another process has done it, or because the table is missing or
    holds what no row knows (then it is made anew), or for good."""
    number, detail = errors[min(errors)]
    if network and nft.has_chain(store.filter, family.inet, store.instance, f"nat-{network.bridge}"):
        return
    if number not in (errno.ENOENT, errno.EEXIST):
        from netplan.netlink.socket import refusal

        problem = refusal("write firewall rules", number, detail)
        problem.hint = problem.hint or nft.HELP
        raise problem
    rebuild(store, family)


def rebuild(store: Store, family: Family = V4) -> None:
    """Make the table from the store, in one transaction, replacing what there is.

    Under the store's lock: rows are written before their rules, so who is not read here publishes after us.
    """
    with store:
        whole = nft.Ruleset(family.inet, store.instance)
        if _has_table(store, family):
            whole.delete_table()
        whole.todo += rules.table(store.instance, family).todo
        for network in _having(store, family):
            rules.network_chains(whole, network, family)
        for endpoint in store.endpoints():
            rules.publish(whole, endpoint, family)
        whole.commit(store.filter, "write firewall rules")


def _having(store: Store, family: Family) -> list[NetworkRow]:
    """The networks with rules of a family."""
    return [row for row in store.networks() if row.bridged and any(kind is family for kind, _ in row.areas)]


def publish(store: Store, endpoint: EndpointRow) -> None:
    """The endpoint's ports into the maps. An element of ours that is out of date is replaced."""
    if not endpoint.ports:
        return
    for family in (V4, V6):
        batch = nft.Ruleset(family.inet, store.instance)
        rules.publish(batch, endpoint, family)
        if not batch.todo:
            continue
        errors = batch.attempt(store.filter)
        if errors and errors[min(errors)][0] in (errno.EEXIST, errno.EBUSY):
            _withdraw(store, [endpoint], family)
            batch.commit(store.filter, "publish ports")
        elif errors:
            _after_failure(store, None, family, errors)


def withdraw(store: Store, endpoints: list[EndpointRow]) -> None:
    """The endpoints' ports out of the maps; those that are not there do not matter."""
    for family in (V4, V6):
        _withdraw(store, endpoints, family)


def _withdraw(store: Store, endpoints: list[EndpointRow], family: Family) -> None:
    batch = nft.Ruleset(family.inet, store.instance)
    for endpoint in endpoints:
        rules.publish(batch, endpoint, family, add=False)
    if not batch.todo or not batch.attempt(store.filter):
        return
    for endpoint in endpoints:
        for port in endpoint.ports:
            single = nft.Ruleset(family.inet, store.instance)
            rules.publish(single, replace(endpoint, ports=(port,)), family, add=False)
            single.attempt(store.filter)


def has_network(store: Store, network: NetworkRow) -> bool:
    """Whether any chain of the network is there."""
    return any(
        nft.has_chain(store.filter, family.inet, store.instance, f"nat-{network.bridge}")
        for family, _area in network.areas
    )


def remove_networks(store: Store, networks: list[NetworkRow]) -> None:
    """The networks' chains; with the last network of a family goes its table. Under the store's lock."""
    for family in (V4, V6):
        if _has_table(store, family):
            _remove(store, networks, family)


def _remove(store: Store, networks: list[NetworkRow], family: Family) -> None:
    gone = {network.name for network in networks}
    batch = nft.Ruleset(family.inet, store.instance)
    if all(network.name in gone for network in _having(store, family)):
        batch.delete_table()
        batch.attempt(store.filter)
        return
    concerned = [row for row in networks if row.bridged and any(kind is family for kind, _ in row.areas)]
    for network in concerned:
        rules.without_network(batch, network, family)
    if not batch.attempt(store.filter):
        return
    for network in concerned:  # some of it is gone already: what is left, network by network
        single = nft.Ruleset(family.inet, store.instance)
        rules.without_network(single, network, family)
        for message in single.todo:
            single.todo = [message]
            single.attempt(store.filter)
