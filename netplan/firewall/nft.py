"""Keep our nf_tables table as the store says. Raises KernelRefused.

Everything is one transaction: the table is there whole or not at all. Whoever flushes the ruleset (a firewall's restart
does) finds it built again by the next attach or create.
"""

from __future__ import annotations

import errno

from netplan.firewall import rules
from netplan.netlink import nft

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.rows import EndpointRow, NetworkRow
    from netplan.store import Store


def ensure_network(store: Store, network: NetworkRow) -> None:
    """The table and the network's chains; only a question if all is there."""
    if nft.has_chain(store.filter, nft.INET4, store.instance, f"nat-{network.bridge}"):
        return
    if not _has_table(store):
        with store:
            if not _has_table(store):  # nobody was faster
                rebuild(store)
                return
    batch = nft.Ruleset(nft.INET4, store.instance)
    rules.network_chains(batch, network)
    errors = batch.attempt(store.filter)
    if errors:
        _after_failure(store, network, errors)


def _has_table(store: Store) -> bool:
    """Asked before what would fail without the table: a refused transaction waits for a grace period, 6 to 13 ms."""
    return nft.has_chain(store.filter, nft.INET4, store.instance, "forward")


def _after_failure(store: Store, network: NetworkRow | None, errors: dict[int, tuple[int, str]]) -> None:
    """Nothing of the transaction was done: because another process has done it, or because the table is missing or
    holds what no row knows (then it is made anew), or for good."""
    number, detail = errors[min(errors)]
    if network and nft.has_chain(store.filter, nft.INET4, store.instance, f"nat-{network.bridge}"):
        return
    if number not in (errno.ENOENT, errno.EEXIST):
        from netplan.netlink.socket import refusal

        problem = refusal("write firewall rules", number, detail)
        problem.hint = problem.hint or nft.HELP
        raise problem
    rebuild(store)


def rebuild(store: Store) -> None:
    """Make the table from the store, in one transaction, replacing what there is.

    Under the store's lock: rows are written before their rules, so who is not read here publishes after us.
    """
    with store:
        whole = nft.Ruleset(nft.INET4, store.instance)
        if _has_table(store):
            whole.delete_table()
        whole.todo += rules.table(store.instance).todo
        for network in store.networks():
            rules.network_chains(whole, network)
        for endpoint in store.endpoints():
            rules.publish(whole, endpoint)
        whole.commit(store.filter, "write firewall rules")


def publish(store: Store, endpoint: EndpointRow) -> None:
    """The endpoint's ports into the maps. An element of ours that is out of date is replaced."""
    if not endpoint.ports:
        return
    batch = nft.Ruleset(nft.INET4, store.instance)
    rules.publish(batch, endpoint)
    if not batch.todo:
        return
    errors = batch.attempt(store.filter)
    if errors and errors[min(errors)][0] in (errno.EEXIST, errno.EBUSY):
        withdraw(store, [endpoint])
        batch.commit(store.filter, "publish ports")
    elif errors:
        _after_failure(store, None, errors)


def withdraw(store: Store, endpoints: list[EndpointRow]) -> None:
    """The endpoints' ports out of the maps; those that are not there do not matter."""
    batch = nft.Ruleset(nft.INET4, store.instance)
    for endpoint in endpoints:
        rules.publish(batch, endpoint, add=False)
    if not batch.attempt(store.filter):
        return
    for endpoint in endpoints:
        for port in endpoint.ports:
            from netplan.record import replace

            single = nft.Ruleset(nft.INET4, store.instance)
            rules.publish(single, replace(endpoint, ports=(port,)), add=False)
            single.attempt(store.filter)


def remove_networks(store: Store, networks: list[NetworkRow]) -> None:
    """The networks' chains; with the last network goes the table. Under the store's lock."""
    if not _has_table(store):
        return
    gone = {network.name for network in networks}
    if all(network.name in gone for network in store.networks()):
        batch = nft.Ruleset(nft.INET4, store.instance)
        batch.delete_table()
        batch.attempt(store.filter)
        return
    batch = nft.Ruleset(nft.INET4, store.instance)
    for network in networks:
        rules.without_network(batch, network)
    if not batch.attempt(store.filter):
        return
    for network in networks:  # some of it is gone already: what is left, network by network
        single = nft.Ruleset(nft.INET4, store.instance)
        rules.without_network(single, network)
        for message in single.todo:
            single.todo = [message]
            single.attempt(store.filter)
