"""Objects that are what they were made as: what would be set afterwards, and read by nobody, is refused."""

from __future__ import annotations

from typing import Any


class Sealed:
    """Refuses to have attributes set once `_seal` was called. Subclasses that people write stay open."""

    _is_sealed = False

    def _seal(self, own: type) -> None:
        if type(self) is own:
            self.__dict__["_is_sealed"] = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_sealed and name not in self._changing():
            kind = type(self)
            code = kind.__init__.__code__
            given = code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount]
            if name in given or "options" not in given:
                fix = f"pass {name}= to {kind.__name__}(...)" if name in given else "leave it out"
            else:
                fix = f"pass options={{{name!r}: ...}} to {kind.__name__}(...)"
            raise AttributeError(f"{kind.__name__.lower()}.{name} can't be changed: {fix}.")
        super().__setattr__(name, value)

    def _changing(self) -> tuple[str, ...]:
        """What its own methods set later."""
        return ()
