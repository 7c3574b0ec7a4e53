"""What all models of the contract have in common: frozen, and closed against misspelt fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """An immutable record. Unknown fields are refused; change one with `model_copy(update=…)`."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, arbitrary_types_allowed=False)
