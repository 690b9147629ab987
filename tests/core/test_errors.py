import pytest

from b2cal.core.errors import B2calError, listed, sentence


@pytest.mark.parametrize(
    ("text", "ends"),
    [("It is.", "is."), ("It is..", "is."), ("did you mean 'x'?.", "'x'?"), ("and so on...", "on..."), ("Stop!.", "!")],
)
def test_a_sentence_ends_once_whatever_was_put_into_it(text: str, ends: str) -> None:
    assert str(B2calError(text)).endswith(ends)
    assert sentence(text) == str(B2calError(text))


def test_what_has_no_end_gets_one() -> None:
    assert sentence("It is") == "It is."


def test_sentences_in_one_lose_their_full_stops() -> None:
    assert sentence(listed(["a is wrong.", "did you mean 'b'?", "c"])) == "a is wrong; did you mean 'b'?; c."
