"""IPv4 addresses and prefixes as numbers: the functions of netplan/family.py for who knows nothing else."""

from __future__ import annotations

from netplan.family import V4

TYPE_CHECKING = False
if TYPE_CHECKING:
    Prefix = tuple[int, int]  # first address, length

parse_address, is_address, render_address, pack_address = V4.parse_address, V4.is_address, V4.render_address, V4.pack
parse_prefix, render_prefix, mask = V4.parse_prefix, V4.render_prefix, V4.mask
last, overlap, holds = V4.last, V4.overlap, V4.holds
