import pytest

from consumer import namesakes
from consumer.errors import SettingsError


def installed(directory, name, **files):
    info = directory / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    for file, content in files.items():
        (info / file.replace("__", ".")).write_text(content)


def test_this_environment_has_none():
    namesakes.check()


@pytest.mark.parametrize(
    "files",
    [
        {"RECORD": "other/__init__.py,sha256=x,0\nnlp/__init__.py,sha256=x,0\n"},
        {"RECORD": "nlp.py,sha256=x,0\n"},
        {"top_level__txt": "other\nnlp\n"},
    ],
)
def test_another_ones_package_of_our_name_is_named(tmp_path, monkeypatch, files):
    monkeypatch.syspath_prepend(tmp_path)
    installed(tmp_path, "older-toolkit", **files)
    with pytest.raises(SettingsError, match="older-toolkit also installs a package nlp; uninstall it"):
        namesakes.check()


@pytest.mark.parametrize(
    "files",
    [
        {"RECORD": "my/nlp/__init__.py,sha256=x,0\nnlp_tools/__init__.py,sha256=x,0\n"},
        {"RECORD": "nlp/x.py,sha256=x,0\n", "top_level__txt": "other\n"},
        {},
    ],
)
def test_names_that_are_like_ours_are_let_be(tmp_path, monkeypatch, files):
    monkeypatch.syspath_prepend(tmp_path)
    installed(tmp_path, "older-toolkit", **files)
    namesakes.check()


def test_a_module_from_elsewhere_is_named(monkeypatch):
    monkeypatch.setattr(namesakes.nlp, "__file__", "/elsewhere/nlp/__init__.py")
    with pytest.raises(SettingsError, match=r"'nlp' was imported from /elsewhere/nlp/__init__.py"):
        namesakes.check()
