"""Keys and profiles on a partner's machine: written safely, read with every error at once."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.domain.errors import InvalidValue
from gateway.domain.signing import Algorithm
from partners.pos import keys
from partners.pos.errors import ProfileError
from partners.pos.profile import Profile
from partners.pos.till import Till


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_a_key_is_read_as_it_was_saved_and_only_its_owner_can_read_it(algorithm: Algorithm, tmp_path: Path) -> None:
    """Both algorithms; mode 0600; nothing else is left behind."""
    key, pem = keys.generate(algorithm)
    keys.save(pem, tmp_path / "till.pem")

    assert keys.load(tmp_path / "till.pem").public_bytes() == key.public_bytes()
    assert [(file.name, file.stat().st_mode & 0o777) for file in tmp_path.iterdir()] == [("till.pem", 0o600)]


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    """It could not be made again."""
    _, pem = keys.generate()
    keys.save(pem, tmp_path / "till.pem")

    with pytest.raises(ProfileError, match="exists already"):
        keys.save(keys.generate()[1], tmp_path / "till.pem")

    assert (tmp_path / "till.pem").read_bytes() == pem


def test_what_is_no_key_is_refused_with_a_sentence(tmp_path: Path) -> None:
    """Missing, garbage, and a kind that cannot sign here."""
    (tmp_path / "garbage.pem").write_text("-----BEGIN")
    rsa_pem = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "rsa.pem").write_bytes(rsa_pem)

    for name, said in (("none.pem", "keygen"), ("garbage.pem", "not an unencrypted private key"), ("rsa.pem", "cannot sign")):
        with pytest.raises(ProfileError, match=said):
            keys.load(tmp_path / name)


def test_another_curve_is_refused(tmp_path: Path) -> None:
    """P-384 is not among the two algorithms."""
    pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "p384.pem").write_bytes(pem)

    with pytest.raises(InvalidValue, match="secp384r1"):
        keys.load(tmp_path / "p384.pem")


def test_a_profile_reads_what_it_wrote_with_paths_beside_it(tmp_path: Path) -> None:
    """Relative paths are relative to the file, not to the working directory."""
    written = Profile("gateway.example:443", "coalition.example:prod", "acme/till-1/a", Path("till.pem"), Path("tls/ca.pem"))
    (tmp_path / "pos.toml").write_text(written.to_toml())

    read = Profile.load(tmp_path / "pos.toml")

    assert (read.key_file, read.ca_file) == (tmp_path / "till.pem", tmp_path / "tls/ca.pem")
    assert (read.partner_id, read.audience, read.is_plaintext) == ("acme", "coalition.example:prod", False)


def test_every_error_of_a_profile_is_named_at_once(tmp_path: Path) -> None:
    """People fix lists."""
    (tmp_path / "pos.toml").write_text('target = "x:1"\nkey_id = 7\ncolour = "red"\n')

    with pytest.raises(ProfileError) as caught:
        Profile.load(tmp_path / "pos.toml")

    said = str(caught.value)
    assert all(
        part in said for part in ("unknown setting colour", "audience is missing", "key is missing", "key_id: must be a text")
    )


@pytest.mark.parametrize(
    ("target", "is_fine"), [("127.0.0.1:1", True), ("[::1]:1", True), ("localhost:1", True), ("10.0.0.1:1", False)]
)
def test_plaintext_stays_on_this_machine(target: str, *, is_fine: bool) -> None:
    """Elsewhere there is TLS."""
    profile = Profile(target, "coalition.example:prod", "acme/till-1/a", Path("till.pem"), is_plaintext=True)

    if is_fine:
        profile.check()
    else:
        with pytest.raises(ProfileError, match="only to a gateway on this machine"):
            profile.check()


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    """With where it comes from."""
    keys.save(keys.generate()[1], tmp_path / "till.pem")
    profile = Profile("127.0.0.1:1", "coalition.example:prod", "acme/till-1/a", tmp_path / "till.pem", tmp_path / "ca.pem")

    with pytest.raises(ProfileError, match=r"ca\.pem: No such file or directory; it is the certificate"):
        Till.open(profile)
