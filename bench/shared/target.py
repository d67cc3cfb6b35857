"""Figures that the project promised, with their verdicts."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """`limit` is a lower bound if `at_least`, else an upper one."""

    what: str
    figure: float
    limit: float
    at_least: bool

    @property
    def met(self) -> bool:
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    def row(self) -> list[str]:
        """A table's: what, target, figure, verdict."""
        sign = "≥" if self.at_least else "≤"
        return [self.what, f"{sign} {self.limit:.3g}", f"{self.figure:.3g}", "met" if self.met else "NOT MET"]
