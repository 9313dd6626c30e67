"""Settings: every parameter written once, as a pydantic field, from which forms and command options are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, GetCoreSchemaHandler, ValidationError
from pydantic_core import CoreSchema, core_schema

from .errors import InputError

SettingsT = TypeVar("SettingsT", bound="Settings")


@dataclass(frozen=True)
class OneOf:
    """Marks a `str` field whose value is a key of a strategy table: ``Annotated[str, OneOf(RISKS)]``."""

    table: Mapping[str, Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: str) -> str:
            if value not in self.table:
                raise ValueError(f"choose one of: {', '.join(self.table)}")
            return value

        return core_schema.no_info_after_validator_function(check, handler(source))


def advanced(**kwargs: Any) -> Any:
    """A pydantic `Field` that forms fold away under "Advanced"."""
    return Field(json_schema_extra={"advanced": True}, **kwargs)


def slider(low: float, high: float, **kwargs: Any) -> Any:
    """A pydantic `Field` for which forms show a slider over what is usual, logarithmic, beside the number."""
    return Field(json_schema_extra={"slider": [low, high]}, **kwargs)


def only_if(*, default: Any, other: Mapping[str, Any], folded: bool = False, **kwargs: Any) -> Any:
    """A pydantic `Field` that has an effect only where other fields have certain values; forms tell so.

    A tuple says that any of its values will do.
    """
    rule = {name: list(value) if isinstance(value, tuple) else [value] for name, value in other.items()}
    extra: dict[str, Any] = {"only_if": rule, **({"advanced": True} if folded else {})}
    return Field(default, json_schema_extra=extra, **kwargs)


class Settings(BaseModel):
    """Parent of all settings: immutable, no unknown names, the same on a form, in a file and on the command line.

    Raises
    ------
    InputError
        If a name is unknown or a value out of range; the text says which.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise InputError(_sentence(error, type(self))) from None

    def to_dict(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return self.model_dump(mode="json")

    def changed(self: SettingsT, values: Mapping[str, Any]) -> SettingsT:
        """A checked copy with some values replaced; text such as ``"0.2"`` is converted.

        Raises
        ------
        InputError
            If a name is unknown or a value out of range; the text says which.
        """
        return type(self)(**{**self.to_dict(), **values})


def _sentence(error: ValidationError, kind: type[Settings]) -> str:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"]) or kind.__name__
    if problem["type"] == "extra_forbidden":
        return f"There is no setting called {name!r}. The settings are: {', '.join(kind.model_fields)}."
    reason = problem["msg"].removeprefix("Value error, ")  # what pydantic puts before our own words
    return f"Setting {name!r} = {problem['input']!r} cannot be used: {reason[:1].lower()}{reason[1:]}."
