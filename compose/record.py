"""Frozen value classes without the cost of ``dataclasses``.

``import dataclasses`` takes 17 ms (it imports ``inspect``) and each decorated class about 0.4 ms, which is more than the
whole work of ``pycompose ps``; see ``docs/decisions/0001-records.md``. ``@record`` gives the part that this project
uses: positional and keyword construction, defaults (immutable ones only), equality by type and fields, hash, repr,
``match`` and refusal of assignment. Type checkers see a frozen dataclass (``record.pyi``).

The same file stands in ``compose``, ``runtime`` and ``netplan``, because the three do not import each other's
foundations; a test compares the copies.
"""

EMPTY = type.__dict__.__class__({})  # an immutable empty mapping, for defaults


class FrozenError(AttributeError):
    """An attribute of a record was assigned after construction."""


def _init(self, *args, **kwargs):
    fields = self.__match_args__
    if len(args) > len(fields):
        raise TypeError(f"{type(self).__name__} takes {len(fields)} values, got {len(args)}")
    values = self.__dict__
    values.update(zip(fields, args))
    if kwargs:
        for name in kwargs:
            if name not in fields or name in values:
                raise TypeError(f"{type(self).__name__} got an unexpected or repeated value: {name}")
        values.update(kwargs)
    if len(values) != len(fields):
        cls = type(self)
        for name in fields:
            if name not in values:
                try:
                    values[name] = cls._defaults[name]
                except KeyError:
                    raise TypeError(f"{cls.__name__} needs a value: {name}") from None


def _frozen(self, name, *_value):
    raise FrozenError(f"cannot assign {type(self).__name__}.{name}: records do not change; use replace()")


def _eq(self, other):
    if type(self) is not type(other):
        return NotImplemented
    return self.__dict__ == other.__dict__


def _hash(self):
    return hash((type(self), *(self.__dict__[name] for name in self.__match_args__)))


def _repr(self):
    return f"{type(self).__name__}({', '.join(f'{name}={self.__dict__[name]!r}' for name in self.__match_args__)})"


def record(cls):
    """Turn an annotated class into a frozen value class. Fields of base records come first."""
    fields, defaults = [], {}
    for base in reversed(cls.__mro__):
        for name, annotation in base.__dict__.get("__annotations__", {}).items():
            if "ClassVar" in str(annotation):
                continue
            if name not in fields:
                fields.append(name)
            if name in base.__dict__:
                defaults[name] = base.__dict__[name]
    cls.__match_args__ = tuple(fields)
    cls._defaults = defaults
    cls.__init__, cls.__eq__, cls.__hash__, cls.__repr__ = _init, _eq, _hash, _repr
    cls.__setattr__ = cls.__delattr__ = _frozen
    return cls


def replace(obj, **changes):
    """A copy of the record with some fields changed."""
    return type(obj)(**{**obj.__dict__, **changes})


def to_plain(value):
    """Records, tuples and mappings as dicts and lists that ``json.dumps`` takes."""
    if hasattr(value, "__match_args__") and hasattr(value, "_defaults"):
        return {name: to_plain(value.__dict__[name]) for name in value.__match_args__}
    if isinstance(value, (tuple, list)):
        return [to_plain(item) for item in value]
    if hasattr(value, "items"):
        return {key: to_plain(item) for key, item in value.items()}
    return value
