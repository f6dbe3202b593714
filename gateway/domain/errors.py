"""Broken promises of the domain.

TallystickError           a command may end with it: the message is for people
└── DomainError
    ├── InvalidValue      a value from outside is not of its form; the message says what to do
    ├── SignatureError    a signature, key or proof does not hold; carries the true cause for the operator
    ├── DecisionRefused   what an operator wants is against the rules of deciding; the reason is one word
    └── BooksBroken       an invariant that only our own bug can break
"""


class TallystickError(Exception):
    """Root of all that a command may end with; the message is for people, and says what to do."""


class DomainError(TallystickError):
    """Root of the domain's errors."""


class InvalidValue(DomainError):
    """A value from outside is not of its form."""


class SignatureError(DomainError):
    """A signature, key or proof does not hold. `cause` is for the operator, never for the caller."""

    def __init__(self, cause: str) -> None:
        super().__init__(cause)
        self.cause = cause


class DecisionRefused(DomainError):
    """What an operator wants is against the rules of deciding. `reason` is one word, such as DUAL_CONTROL_REQUIRED."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason


class BooksBroken(DomainError):
    """An invariant of the books that only our own bug can break."""
