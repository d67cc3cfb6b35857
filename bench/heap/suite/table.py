"""Tables in Markdown, which a terminal shows as well."""

from dataclasses import dataclass, field

from shared.target import Target


@dataclass
class Table:
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: str = ""

    def render(self) -> str:
        widths = [max(len(line[i]) for line in [self.columns, *self.rows]) for i in range(len(self.columns))]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]

        def line(cells):
            first, *others = zip(cells, widths)
            return "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"

        parts = [f"### {self.title}", "", line(self.columns), line(rule), *map(line, self.rows)]
        return "\n".join(parts + (["", self.notes] if self.notes else []))


@dataclass
class Section:
    """What one part of the benchmark found; `data` is the same for machines."""

    name: str
    tables: list[Table]
    targets: list[Target]
    data: object

    def render(self) -> str:
        verdicts = Table(f"{self.name}: targets", ["what", "target", "figure", "verdict"],
                         [target.row() for target in self.targets])
        return "\n\n".join(table.render() for table in self.tables + ([verdicts] if self.targets else []))


def megabytes(kb: float) -> str:
    return f"{kb / 1024:.1f}"
