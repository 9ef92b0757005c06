"""What of the host netplan needs, and whether it is there. Each check looks once and says what to do."""

from __future__ import annotations

import os

from netplan import host, ipam, netns
from netplan.dns import sockets
from netplan.errors import NetworkFault
from netplan.family import V4, V6
from netplan.firewall import foreign, rules
from netplan.ipv4 import overlap
from netplan.netlink import link as rtnl
from netplan.netlink.socket import NETFILTER, ROUTE, Netlink

TYPE_CHECKING = False
if TYPE_CHECKING:
    from netplan.family import Family

    Check = tuple[str, bool, str, str]


def checks() -> list[Check]:
    """``(name, ok, detail, advice)`` of each; the advice is empty where all is well. Changes nothing on the host."""
    return [_links(), _nf_tables(), _forwarding(), _foreign_policies(), _pools(), _ipv6(), _nameservers(), _mtu()]


def _links() -> Check:
    """A bridge and a pair from a namespace to another one."""
    try:
        here, beyond = _namespace(), _namespace()
    except OSError as problem:
        return "namespaces", False, f"cannot make a network namespace: {problem.strerror}", "run as root"
    try:
        with netns.inside(here):
            socket = Netlink(ROUTE)
        socket.run("create a bridge", rtnl.create_bridge(1000, "br-check", b"\x02\x42\0\0\0\1", 0, 1))
        pair = rtnl.create_veth(1001, "vethcheck", 1000, 1, 0, beyond, "eth0", b"\x02\x42\0\0\0\2")
        socket.run("create a veth pair", pair)
        socket.close()
    except NetworkFault as problem:
        return "links", False, problem.message, "load the modules bridge and veth: modprobe -a bridge veth"
    finally:
        os.close(here)
        os.close(beyond)
    return "links", True, "bridges and veth pairs can be made", ""


def _nf_tables() -> Check:
    """The real table, in a namespace of its own: also says whether every expression exists."""
    advice = (
        "modprobe -a nf_tables nft_chain_nat nft_masq nft_fib_ipv4; without them only network_mode: host and none work"
    )
    if problem := _table_fails(V4):
        return "nf_tables", False, problem, advice if os.geteuid() == 0 else "run as root"
    if host.has_ipv6() and (problem := _table_fails(V6)):
        return "nf_tables", True, f"networks with IPv6 cannot be made: {problem}", "modprobe nft_fib_ipv6"
    return "nf_tables", True, "tables, maps, translation and masquerade work", ""


def _table_fails(family: Family) -> str:
    """Why the table cannot be made; empty if it can."""
    try:
        fd = _namespace()
        try:
            with netns.inside(fd):
                there = Netlink(NETFILTER)
            rules.table("pycompose-check", family).commit(there, "write firewall rules")
            there.close()
        finally:
            os.close(fd)
    except NetworkFault as problem:
        return problem.message
    except OSError as problem:
        return f"cannot use nf_tables: {problem.strerror}"
    return ""


def _namespace() -> int:
    """A new namespace that lives as long as the descriptor. Raises OSError."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        netns.unshare()
        return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        netns.setns(home)
        os.close(home)


def _forwarding() -> Check:
    with open("/proc/sys/net/ipv4/ip_forward") as file:
        on = file.read(1) == "1"
    if on:
        return "ip_forward", True, "IPv4 forwarding is on", ""
    writable = os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK)
    advice = "" if writable else "sysctl -w net.ipv4.ip_forward=1"
    return "ip_forward", writable, "IPv4 forwarding is off; the first network turns it on", advice


def _foreign_policies() -> Check:
    try:
        there = Netlink(NETFILTER)
        try:
            chain, elsewhere = foreign.dropping_in(there), foreign.dropping_elsewhere(there)
        finally:
            there.close()
    except (NetworkFault, OSError):
        return "forward policy", True, "not known: nf_tables cannot be read", ""
    if elsewhere:
        advice = "accept packets from and to br-* there; a rule of ours cannot overrule it"
        return "forward policy", False, f"chain {', '.join(elsewhere)} drops forwarded packets", advice
    if _legacy_iptables():
        advice = "if containers reach nothing: iptables-legacy -I FORWARD -i br-+ -j ACCEPT, and the same with -o"
        return "forward policy", True, "old iptables rules are loaded, which are not looked at", advice
    detail = f"the policy is to drop; our bridges are let through in {chain}" if chain else "nobody drops by policy"
    return "forward policy", True, detail, ""


def _legacy_iptables() -> bool:
    try:
        with open("/proc/net/ip_tables_names") as file:
            return "filter" in file.read().split()
    except OSError:
        return False


def _pools() -> Check:
    there = Netlink(ROUTE)
    try:
        taken = host.reserved(there)
        wide = [
            (route.first, route.length)
            for route in rtnl.routes(there, rtnl.MAIN_TABLE)
            if route.scope != rtnl.SCOPE_LINK and route.length > 1
        ]
    finally:
        there.close()
    free = list(ipam.select_subnets(taken))
    routed = sum(any(overlap(chunk, other) for other in wide) for chunk in free)
    detail = f"{len(free)} of {len(list(ipam.chunks()))} subnets are free"
    if not free:
        return "pools", False, detail, "remove unused networks, or write subnets into the compose file"
    if routed:
        advice = "write a subnet into the compose file if a host behind that route is not reachable"
        return "pools", True, f"{detail}; {routed} of them are also routed elsewhere (a VPN?)", advice
    return "pools", True, detail, ""


def _ipv6() -> Check:
    from netplan.publish import bind

    try:
        os.close(bind("::1", 0, "tcp"))
    except OSError:
        return "ipv6", True, "no IPv6 on this host: ports are published on IPv4 only", ""
    return "ipv6", True, "published TCP ports also answer on [::1]", ""


def _nameservers() -> Check:
    servers = [server for server in host.read_nameservers() if server != sockets.ADDRESS]
    if servers:
        return "dns", True, f"names from outside come from {', '.join(servers[:3])}", ""
    return "dns", False, "the host has no nameserver", f"write one into {host.RESOLV_CONF}"


def _mtu() -> Check:
    """A default route with a smaller MTU than the containers' 1500: large packets stall where ICMP is filtered."""
    there = Netlink(ROUTE)
    try:
        uplinks = {route.index for route in rtnl.routes(there, rtnl.MAIN_TABLE) if not route.length}
        narrow = [link for link in rtnl.links(there) if link.index in uplinks and link.mtu < 1500]
    finally:
        there.close()
    if narrow:
        name, size = narrow[0].name, narrow[0].mtu
        advice = f"set driver_opts com.docker.network.driver.mtu to {size}"
        return "mtu", False, f"{name}, the way out, has MTU {size}; containers have 1500", advice
    return "mtu", True, "the way out takes packets of 1500 bytes", ""
