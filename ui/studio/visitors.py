"""Who asks: what a page says of its visitor is a claim, and no handler gets to see it."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import wraps
from typing import Any, TypeVar, cast

T = TypeVar("T")
Who = Callable[[object], Awaitable[str | None]]

ASKS = "visitor"  # the parameter of whoever wants to know


def known(handlers: T, who: Who) -> T:
    """The same handlers, each told the visitor's id in the place of what the page shows; None where it is nobody's."""
    return cast(T, _Known(handlers, who))


class _Known:
    def __init__(self, handlers: object, who: Who) -> None:
        self._handlers = handlers
        self._who = who

    def __getattr__(self, name: str) -> Any:
        handler = getattr(self._handlers, name)
        names = list(inspect.signature(handler).parameters)
        return _told(handler, names.index(ASKS), self._who) if ASKS in names else handler


def _told(handler: Callable[..., Any], place: int, who: Who) -> Callable[..., Any]:
    async def given(arguments: tuple[Any, ...]) -> list[Any]:
        return [*arguments[:place], await who(arguments[place]), *arguments[place + 1 :]]

    if inspect.isasyncgenfunction(handler):

        @wraps(handler)
        async def each(*arguments: Any) -> AsyncIterator[Any]:
            async for answer in handler(*await given(arguments)):
                yield answer

        return each

    @wraps(handler)
    async def once(*arguments: Any) -> Any:
        return await handler(*await given(arguments))

    return once
