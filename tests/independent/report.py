"""One line a check; whether all of them held."""


class Report:
    def __init__(self) -> None:
        self.failed: list[str] = []

    def check(self, name: str, holds: bool, figures: str) -> None:
        print(f"{'ok  ' if holds else 'FAIL'}  {name}: {figures}", flush=True)
        if not holds:
            self.failed.append(name)

    def equal(self, name: str, equal: int, total: int, remark: str = "") -> None:
        """`equal` of `total` things agree; nothing to compare is a failure too."""
        self.check(name, equal == total > 0, f"equal {equal:,} of {total:,}{remark}")

    def same(self, name: str, expected: object, found: object) -> None:
        holds = expected == found
        self.check(name, holds, f"{found}" if holds else f"expected {expected}, found {found}")
