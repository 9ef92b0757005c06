"""The runtime's errors: what cannot be done, to what, and what to try."""


class RuntimeFault(Exception):
    """Base of the runtime's errors. ``message`` begins with "cannot"; ``hint`` says what to try, or is empty."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class NotFound(RuntimeFault):
    """No such container, image or volume."""


class Conflict(RuntimeFault):
    """The object is not in a state that allows the operation, or the name is taken."""


class StartFailed(RuntimeFault):
    """The process could not be executed. ``code``: 127 not found, 126 not executable, 128 anything else."""

    def __init__(self, message: str, code: int, hint: str = "") -> None:
        super().__init__(message, hint)
        self.code = code


class Unsupported(RuntimeFault):
    """The kernel, or this machine's privileges, do not offer what is needed."""


class BadArchive(RuntimeFault):
    """An image archive is malformed or hostile."""
