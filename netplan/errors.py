"""The network's errors: what cannot be done, to what, and what to try."""


class NetworkFault(Exception):
    """Base of netplan's errors. ``message`` begins with "cannot"; ``hint`` says what to try, or is empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class PoolExhausted(NetworkFault):
    """No free subnet or address is left."""


class AddressInUse(NetworkFault):
    """A requested address, subnet or MAC address belongs to something else."""


class PortInUse(NetworkFault):
    """A host port is taken; ``owner`` names who has it, as far as known."""

    def __init__(self, message: str, owner: str = "", hint: str = "") -> None:
        super().__init__(message, hint)
        self.owner = owner


class NetworkNotFound(NetworkFault):
    """No network of that name."""


class NetworkInUse(NetworkFault):
    """The network still has endpoints."""


class KernelRefused(NetworkFault):
    """Netlink answered with an error; ``errno`` is the kernel's number."""

    def __init__(self, message: str, errno: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.errno = errno
