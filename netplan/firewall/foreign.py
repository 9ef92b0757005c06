"""Live beside other firewalls: Docker and ufw set the forward policy to drop, and an accept of ours cannot undo it.

An accept in one base chain does not stop another's policy, so the rule must stand in the chain that drops: in
iptables-nft's ``filter``, ip or ip6, chain DOCKER-USER where there is one (the place that Docker leaves to others),
else FORWARD. Our rules carry a comment by which they are found again.
"""

from __future__ import annotations

import errno

from netplan.family import V4, V6
from netplan.netlink import nft
from netplan.netlink.socket import refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family
    from netplan.netlink.socket import Netlink
    from netplan.rows import NetworkRow
    from netplan.store import Store

_TABLE, _USER, _FORWARD = "filter", "DOCKER-USER", "FORWARD"
_NEWER = (errno.ENOENT, errno.EOPNOTSUPP)


def dropping_in(socket: Netlink, family: Family = V4) -> str:
    """The chain that needs our rules (``DOCKER-USER`` or ``FORWARD``), or empty: nobody drops by policy."""
    chains = [chain for chain in nft.list_chains(socket, family.inet) if chain["table"] == _TABLE]
    drops = any(c["hook"] == nft.FORWARD and c["policy"] == nft.DROP for c in chains)
    if not drops:
        return ""
    return _USER if any(c["name"] == _USER for c in chains) else _FORWARD


def dropping_elsewhere(socket: Netlink) -> list[str]:
    """Base chains of other tables that drop forwarded packets by policy, where we cannot put a rule."""
    return [
        f"{chain['table']} {chain['name']}"
        for chain in nft.list_chains(socket, nft.INET4) + nft.list_chains(socket, 1)
        if chain["hook"] == nft.FORWARD and chain["policy"] == nft.DROP and chain["table"] != _TABLE
    ]


def allow(store: Store, network: NetworkRow) -> None:
    """Let the bridge's packets pass a foreign forward chain that drops by policy; nothing to do without one.

    Inbound stays guarded: our own table drops what was not published. Raises KernelRefused.
    """
    for family, _area in network.areas:
        _allow(store, network.bridge, family)


def _allow(store: Store, bridge: str, family: Family) -> None:
    chain = dropping_in(store.filter, family)
    if not chain or _handles(store, chain, bridge, family):
        return
    batch = nft.Ruleset(family.inet, _TABLE)
    note = _note(store, bridge)
    batch.add_rule(chain, nft.input_is(bridge), nft.verdict(nft.ACCEPT), note=note, first=True)
    batch.add_rule(chain, nft.output_is(bridge), nft.verdict(nft.ACCEPT), note=note, first=True)
    errors = batch.attempt(store.filter)
    if errors and errors[min(errors)][0] not in _NEWER:
        raise refusal(f"allow {bridge} in chain {chain}", *errors[min(errors)])


def forget(store: Store, network: NetworkRow) -> None:
    """Delete our rules for the network's bridge, in whichever of the two chains."""
    for family, _area in network.areas:
        for chain in (_USER, _FORWARD):
            for handle in _handles(store, chain, network.bridge, family):
                _delete(store, family, chain, handle)


def sweep(store: Store) -> None:
    """Delete this instance's rules for bridges that no network of the store has."""
    known = {_note(store, network.bridge) for network in store.networks()}
    mark = _note(store, "")
    for family in (V4, V6):
        for chain in (_USER, _FORWARD):
            for handle, userdata in nft.list_rules(store.filter, family.inet, _TABLE, chain):
                note = nft.comment_of(userdata)
                if note.startswith(mark) and note not in known:
                    _delete(store, family, chain, handle)


def _delete(store: Store, family: Family, chain: str, handle: int) -> None:
    batch = nft.Ruleset(family.inet, _TABLE)
    batch.delete_rule(chain, handle)
    batch.attempt(store.filter)


def _note(store: Store, bridge: str) -> str:
    return f"{store.instance} {bridge}"


def _handles(store: Store, chain: str, bridge: str, family: Family) -> list[int]:
    note = _note(store, bridge)
    rules = nft.list_rules(store.filter, family.inet, _TABLE, chain)
    return [handle for handle, userdata in rules if nft.comment_of(userdata) == note]
