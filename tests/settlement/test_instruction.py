"""Instructions: ids that do not change, and their two renderings."""

import json

from gateway.domain.window import Window, WindowState
from settlement.instruction import Instruction, instruct, instructions_document, instructions_text
from settlement.netting import Payment

WINDOW = Window(1, WindowState.CLOSED, "2026-06-30", 1, b"", 1, ())


def instructions(window_id: int = 1, form: str = "partner-to-partner") -> list[Instruction]:
    """Two payments."""
    payments = [Payment("EUR", "alpha", "bravo", 275), Payment("EUR", "alpha", "charlie", 41)]
    return instruct(audience="coalition.example:test", window_id=window_id, form=form, payments=payments)


def test_an_instruction_made_twice_has_the_same_id() -> None:
    """So that a bank that gets it twice pays once."""
    assert instructions() == instructions()


def test_no_two_instructions_share_an_id() -> None:
    """Across payments, windows and forms."""
    made = instructions() + instructions(window_id=2) + instructions(form="through-operator")

    assert len({instruction.instruction_id for instruction in made}) == 6


def test_an_id_fits_into_a_bank_file() -> None:
    """ISO 20022 takes 35 characters."""
    assert {len(instruction.instruction_id) for instruction in instructions()} == {32}


def test_the_document_lists_all_payments() -> None:
    """In minor units."""
    document = json.loads(instructions_document(audience="coalition.example:test", window=WINDOW, instructions=instructions()))

    assert [(i["debtor_id"], i["creditor_id"], i["amount"]) for i in document["instructions"]] == [
        ("alpha", "bravo", 275),
        ("alpha", "charlie", 41),
    ]


def test_the_text_is_in_major_units() -> None:
    """For people."""
    assert "  2.75  EUR\n" in instructions_text(audience="coalition.example:test", window=WINDOW, instructions=instructions())


def test_a_window_without_payments_says_so() -> None:
    """An empty table would look like a fault."""
    assert "Nobody owes anybody." in instructions_text(audience="coalition.example:test", window=WINDOW, instructions=[])
