"""The values of rows that run on an event loop: for whoever wants all of them, and whoever takes them as they come."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from typing import Any, Generic, TypeVar

T_co = TypeVar("T_co", covariant=True)


class AsyncValues(AsyncGenerator[T_co, None], Generic[T_co]):
    """Awaited, the list of all values; iterated over, each as soon as it can be given. In row order either way.

    Whoever leaves early closes it (`contextlib.aclosing`), and what still runs is cancelled. Its rows run once.

    >>> import asyncio
    >>> import flowchain as fc
    >>> chain = fc.Chain(fc.Join(texts=[fc.Input("text", str), "!"], separator=""))
    >>> async def main() -> list[str]:
    ...     return await chain.abatch([{"text": "a"}, {"text": "b"}])
    >>> asyncio.run(main())
    ['a!', 'b!']
    """

    def __init__(self, values: AsyncGenerator[T_co, None]) -> None:
        self._values = values

    def __await__(self) -> Generator[Any, Any, list[T_co]]:
        return self._all().__await__()

    async def _all(self) -> list[T_co]:
        return [value async for value in self._values]

    async def __anext__(self) -> T_co:
        return await anext(self._values)

    async def asend(self, value: None) -> T_co:
        return await self._values.asend(value)

    async def athrow(self, *error: Any) -> T_co:
        return await self._values.athrow(*error)

    async def aclose(self) -> None:
        await self._values.aclose()
