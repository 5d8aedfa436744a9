"""What a training run reads and makes rows of: recipes, corpora, variants, vocabularies. Needs no torch."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from nlp import model
from nlp.errors import TrainingError
from nlp.gold import read_gold
from nlp.labels import Scheme
from nlp.synth import bioes
from nlp.tokenizer import Tokenizer
from nlp.training.corpora import Document, read_corpora
from nlp.training.recipe import CorpusRecipe, Recipe, Variants, read_recipe
from nlp.training.rows import UNLABELLED, Rows, joined, pieces, tags_of
from nlp.training.variants import names_of, varied
from nlp.training.vocabulary import cut

TAGS = bioes(("PER", "LOC", "ORG"))
SCHEME = Scheme.of(TAGS)
VOCABULARY = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", *"王小明在北京读书李红上海去，。a1")
SENTENCES = [("王小明在北京读书。", [(0, 3, "PER"), (4, 6, "LOC")]), ("李红去上海", [(0, 2, "PER"), (3, 5, "LOC")])]


def draw(seed=0):
    return np.random.default_rng(seed)


def gold_file(path, sentences):
    lines = ({"text": text, "ents": [list(span) for span in spans]} for text, spans in sentences)
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    return path


def recipe_of(directory, *corpora, **settings):
    return Recipe(encoder=directory, output=directory / "run", corpora=corpora, **settings)


def rows_of(directory, **settings):
    train = gold_file(directory / "train.jsonl", SENTENCES * 20)
    recipe = recipe_of(directory, CorpusRecipe("some", (train,)), **settings)
    tokenizer = Tokenizer(VOCABULARY, lower_case=True, strip_accents=True)
    corpora = read_corpora(recipe)
    assert len(corpora[0].train) == 2
    return Rows(recipe, corpora, tokenizer, TAGS, None)


def test_a_recipe_reads_paths_beside_its_file_and_keeps_the_defaults(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text(
        'encoder = "bert"\noutput = "run"\nrate = 1\n[corpora.a]\ntrain = "a.jsonl"\nlabels = { NAME = "PER" }\n'
    )
    recipe = read_recipe(file)
    assert (recipe.encoder, recipe.output, recipe.rate) == (tmp_path / "bert", tmp_path / "run", 1.0)
    assert recipe.corpora == (CorpusRecipe("a", (tmp_path / "a.jsonl",), labels={"NAME": "PER"}),)
    assert recipe.epochs == Recipe(tmp_path, tmp_path, ()).epochs


@pytest.mark.parametrize("name", model.PACKAGED)
def test_a_recipe_takes_a_packaged_model_by_its_name(tmp_path, name):
    file = tmp_path / "recipe.toml"
    file.write_text(f'encoder = "{name}"\nteachers = ["{name}"]\noutput = "{name}"\n[corpora.a]\ntrain = "{name}"\n')
    recipe = read_recipe(file)
    assert (recipe.encoder, recipe.teachers) == (model.PACKAGED[name], (model.PACKAGED[name],))
    assert (recipe.output, recipe.corpora[0].train) == (tmp_path / name, (tmp_path / name,)), "these are the user's own"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("epohcs = 3", "unknown names epohcs"),
        ("epochs = 0", "epochs is 0.0; expected more than 0"),
        ('rate = "high"', "rate is 'high'; expected float"),
        ("seed = true", "seed is True; expected int"),
        ("joined = 2", "joined is 2.0; expected a share from 0 to 1"),
        ("windows = 126", "windows is 126; expected a list of int"),
        ('windows = ["a"]', "windows is ['a']; expected a list of int"),
        ('precision = "half"', "precision is 'half'; expected float32 or bfloat16"),
        ("variants = 1", "variants is 1; expected a table"),
        ("labels = []", "labels names none; expected such as PER, LOC, ORG"),
        ('labels = ["PER", "PER"]', "labels: the tags"),
        ("threads = -1", "threads is -1; expected 0 or more"),
        ("rate = nan", "rate is nan; expected more than 0"),
        ("teachers = [3]", "teachers is [3]; expected a list of str"),
        ('[corpora.b]\ntrain = "b"\nlabels = { A = 1 }', "labels.A is 1; expected a string"),
        ('[corpora.b]\ntrain = "b"\nhold_out = -1', "[corpora.b] hold_out is -1; expected 0 or more"),
        ("[variants]\nwdith = 0.1", "[variants] has unknown names wdith"),
        ("[corpora.b]\nrepeat = 2", "[corpora.b] needs either train"),
        ('[corpora.b]\ntrain = "b"\nraw = "b"', "[corpora.b] needs either train"),
        ('[corpora.b]\nraw = "b"', "[corpora.b] is raw; expected teachers"),
        ('[variants]\ngazetteers = { PRE = "b" }', "gazetteers has PRE; labels has PER, LOC, ORG"),
        ('[corpora.b]\ntrain = "b"\nlabels = { NAME = "PRE" }', "[corpora.b] maps to PRE; labels has PER, LOC, ORG"),
        ("corpora = 1", "cannot be read as a recipe in TOML"),
    ],
)
def test_a_wrong_recipe_is_refused_with_the_place_and_what_was_expected(tmp_path, line, said):
    file = tmp_path / "recipe.toml"
    file.write_text(f'encoder = "bert"\noutput = "run"\n{line}\n[corpora.a]\ntrain = "a.jsonl"\n')
    with pytest.raises(TrainingError, match=re.escape(said)):
        read_recipe(file)


def test_a_name_of_another_kind_than_a_string_is_refused_as_it_stands(tmp_path):
    (tmp_path / "recipe.toml").write_text('encoder = 3\noutput = "run"\n[corpora.a]\ntrain = "a"\n')
    with pytest.raises(TrainingError, match="encoder is 3; expected a string"):
        read_recipe(tmp_path / "recipe.toml")


def test_no_text_of_a_dev_set_is_trained_on_whichever_corpus_has_it(tmp_path):
    a = gold_file(tmp_path / "a.jsonl", [*SENTENCES, SENTENCES[0]])
    b = gold_file(tmp_path / "b.jsonl", SENTENCES[1:])
    corpora = read_corpora(recipe_of(tmp_path, CorpusRecipe("a", (a,)), CorpusRecipe("b", (), dev=(b,))))
    assert [document.text for document in corpora[0].train] == [SENTENCES[0][0]]
    assert (corpora[0].in_dev_sets, corpora[0].twice) == (1, 1)


def test_a_block_of_neighbours_is_held_out_and_the_same_one_for_the_same_seed(tmp_path):
    file = gold_file(tmp_path / "a.jsonl", [(f"{i:03}", []) for i in range(100)])
    blocks = {}
    for seed in (1, 1, 2):
        [corpus] = read_corpora(recipe_of(tmp_path, CorpusRecipe("a", (file,), hold_out=10, hold_out_seed=seed)))
        held = [int(gold.text) for gold in corpus.dev]
        assert held == list(range(held[0], held[0] + 10))
        assert {int(document.text) for document in corpus.train} == set(range(100)) - set(held)
        assert blocks.setdefault(seed, held) == held
    assert blocks[1] != blocks[2]
    with pytest.raises(TrainingError, match="hold_out is 100; its train files have 100 texts"):
        read_corpora(recipe_of(tmp_path, CorpusRecipe("a", (file,), hold_out=100)))


def test_a_run_that_has_nothing_to_learn_from_is_refused(tmp_path):
    file = gold_file(tmp_path / "a.jsonl", SENTENCES)
    for corpus in (CorpusRecipe("a", (file,), dev=(file,)), CorpusRecipe("a", (file,), repeat=0)):
        with pytest.raises(
            TrainingError, match=r"nothing to train on: [20] texts of the train files stand in dev sets"
        ):
            read_corpora(recipe_of(tmp_path, corpus))
    with pytest.raises(
        TrainingError, match=r"types LOC, PER, and none of NAME; say what they become: labels = { LOC ="
    ):
        read_corpora(recipe_of(tmp_path, CorpusRecipe("a", (file,), labels={"NAME": "PER"})))


def test_types_without_a_label_are_no_entities_and_the_longer_of_two_is_kept(tmp_path):
    spans = [(0, 3, "NAME"), (1, 2, "NAME"), (4, 6, "TITLE"), (6, 8, "NAME")]
    file = gold_file(tmp_path / "a.jsonl", [("王小明在北京读书。", spans)])
    [corpus] = read_corpora(recipe_of(tmp_path, CorpusRecipe("a", (file,), labels={"NAME": "PER"})))
    assert corpus.train[0].spans == ((0, 3, "PER"), (6, 8, "PER"))


def test_tags_read_back_as_the_spans_they_were_made_from():
    for text, spans in [*SENTENCES, ("王在北京", [(0, 1, "PER"), (2, 4, "LOC")])]:
        tags = tags_of(Document(text, tuple(spans)), {tag: i for i, tag in enumerate(TAGS)})
        assert SCHEME.spans(tags.astype(np.int8)) == spans


def test_windows_are_cut_before_an_entity_and_nothing_is_lost():
    text, spans = "一二三四五六七八九十", ((2, 5, "ORG"), (6, 7, "PER"))
    parts = list(pieces(Document(text, spans), 4))
    assert "".join(part.text for part in parts) == text
    assert max(len(part.text) for part in parts) <= 4
    found = [(part.text[start:end], label) for part in parts for start, end, label in part.spans]
    assert found == [("三四五", "ORG"), ("七", "PER")]


def test_an_entity_longer_than_a_window_is_cut_like_the_text_and_the_end_is_reached():
    parts = list(pieces(Document("一二三四五六七八九十", ((0, 9, "ORG"),)), 4))
    assert [part.text for part in parts] == ["一二三四", "五六七八", "九十"]
    assert [part.spans for part in parts] == [((0, 4, "ORG"),), ((0, 4, "ORG"),), ((0, 1, "ORG"),)]


def test_joined_texts_keep_every_entity_where_it_was():
    documents = [Document(text, tuple(spans)) for text, spans in SENTENCES * 3]
    [*whole] = joined(iter(documents), (20,), 1.0, draw())
    assert "".join(document.text for document, _ in whole) == "".join(document.text for document in documents)
    assert len(whole) < len(documents)
    names = [(d.text[start:end], label) for d, _ in whole for start, end, label in d.spans]
    assert names == [(d.text[start:end], label) for d in documents for start, end, label in d.spans]


def test_an_epoch_is_the_same_for_the_same_seed_and_another_one_for_the_next(tmp_path):
    shares = Variants(width=0.5, quotes=0.5, unknown=0.2, replaced=0.5)
    rows = rows_of(tmp_path, variants=shares, joined=0.5)

    def ids(number):
        return [batch.ids.tolist() for batch in rows.epoch(number)]

    assert ids(3) == ids(3)
    assert ids(3) != ids(4)


def test_rows_hold_the_ids_of_the_text_between_cls_and_sep_and_a_tag_a_character(tmp_path):
    [batch] = rows_of(tmp_path).epoch(0)
    tokenizer = Tokenizer(VOCABULARY, lower_case=True, strip_accents=True)
    for ids, tags, length in zip(batch.ids, batch.tags, batch.lengths, strict=True):
        text, spans = next(sentence for sentence in SENTENCES if len(sentence[0]) == length)
        assert ids[: length + 2].tolist() == [tokenizer.cls, *tokenizer.encode(text), tokenizer.sep]
        assert (ids[length + 2 :] == tokenizer.pad).all()
        assert SCHEME.spans(tags[:length].astype(np.int8)) == spans


def test_a_batch_keeps_to_its_tokens_unless_one_row_is_longer(tmp_path):
    assert {batch.ids.shape for batch in rows_of(tmp_path, batch_tokens=11).epoch(0)} == {(1, 11), (1, 7)}


@pytest.mark.parametrize(("repeat", "rows"), [(0, 1), (1, 3), (2, 5)])
def test_a_corpus_is_drawn_as_often_as_the_recipe_says(tmp_path, repeat, rows):
    train = gold_file(tmp_path / "train.jsonl", SENTENCES)
    other = gold_file(tmp_path / "other.jsonl", [("去上海", [(1, 3, "LOC")])])
    recipe = recipe_of(tmp_path, CorpusRecipe("some", (train,), repeat=repeat), CorpusRecipe("other", (other,)))
    tokenizer = Tokenizer(VOCABULARY, lower_case=True, strip_accents=True)
    made = Rows(recipe, read_corpora(recipe), tokenizer, TAGS, None).epoch(0)
    assert sum(len(batch.ids) for batch in made) == rows


def test_corpora_of_one_convention_are_not_told_apart(tmp_path):
    train = gold_file(tmp_path / "train.jsonl", SENTENCES)
    named = (("a", "x"), ("b", ""), ("c", "x"))
    corpora = [CorpusRecipe(name, (train,), convention=convention) for name, convention in named]
    recipe = recipe_of(tmp_path, *corpora)
    tokenizer = Tokenizer(VOCABULARY, lower_case=True, strip_accents=True)
    [batch] = Rows(recipe, read_corpora(recipe), tokenizer, TAGS, None).epoch(0)
    assert sorted(batch.conventions.tolist()) == [0, 0, 0, 0, 1, 1]


def test_replaced_entities_stand_where_the_spans_say_and_have_the_same_label():
    documents = [Document(text, tuple(spans)) for text, spans in SENTENCES]
    names = names_of(documents, {})
    seen = set()
    for seed in range(30):
        changed = varied(documents[0], Variants(replaced=1.0), names, None, draw(seed))
        assert [label for _, _, label in changed.spans] == ["PER", "LOC"]
        person, place = (changed.text[start:end] for start, end, _ in changed.spans)
        assert changed.text == f"{person}在{place}读书。"
        seen.add((person, place))
    assert seen == {(person, place) for person in ("王小明", "李红") for place in ("北京", "上海")}


@pytest.mark.parametrize("share", ["width", "quotes"])
def test_other_widths_and_quotes_leave_the_length_and_the_spans(share):
    document = Document("“王小明”说:'a1'", ((1, 4, "PER"),))
    made = {varied(document, Variants(**{share: 1.0}), {}, None, draw(seed)) for seed in range(30)}
    assert len(made) > 1
    assert {len(changed.text) for changed in made} == {len(document.text)}
    assert {changed.spans for changed in made} == {document.spans}


def test_nothing_is_varied_without_a_share():
    document = Document("“王小明”说:'a1'", ((1, 4, "PER"),))
    assert varied(document, Variants(), names_of([document], {}), None, draw()) == document


def test_names_of_a_gazetteer_replace_those_of_their_label(tmp_path):
    documents = [Document(text, tuple(spans)) for text, spans in SENTENCES[:1]]
    names = names_of(documents, {"PER": ["李", "红上海"]})
    made = {varied(documents[0], Variants(replaced=1.0), names, None, draw(seed)).text for seed in range(30)}
    assert made == {"王小明在北京读书。", "红上海在北京读书。"}  # for a name of several characters one of several


def test_texts_that_nobody_labelled_are_drawn_as_such(tmp_path):
    (tmp_path / "raw.txt").write_text("李红去上海\n\n 王去北京\n", encoding="utf-8")
    raw = CorpusRecipe("raw", raw=(tmp_path / "raw.txt",))
    train = CorpusRecipe("some", (gold_file(tmp_path / "train.jsonl", SENTENCES[:1]),))
    recipe = recipe_of(tmp_path, raw, train, teachers=(tmp_path,))
    tokenizer = Tokenizer(VOCABULARY, lower_case=True, strip_accents=True)
    [batch] = Rows(recipe, read_corpora(recipe), tokenizer, TAGS, None).epoch(0)
    assert sorted(zip(batch.conventions.tolist(), batch.lengths.tolist(), strict=True)) == [
        (UNLABELLED, 4),
        (UNLABELLED, 5),
        (0, 9),
    ]


def test_a_vocabulary_keeps_single_characters_and_copies_the_rows_of_relatives():
    tokens = ("[PAD]", "[unused1]", "[UNK]", "[CLS]", "[SEP]", '"', "馬", "##馬", "ok", "1")
    vocabulary = cut(tokens, lambda c: ["馬"] if c == "马" else [])
    row = dict(zip(vocabulary.tokens, vocabulary.rows, strict=True))
    assert {"##馬", "ok", "[unused1]"}.isdisjoint(row)
    assert (row["[UNK]"], row["馬"]) == (2, 6)
    assert (row["马"], row["“"], row["１"]) == (6, 5, 9)


def test_the_texts_of_a_language_model_can_be_read_and_none_comes_twice():
    files = sorted((Path(__file__).parents[2] / "nlp" / "training" / "texts").glob("*.jsonl"))
    texts = [gold for file in files for gold in read_gold(file)]
    assert len(texts) == len({gold.text for gold in texts}) > 43_000
    assert {label for gold in texts for _, _, label in gold.entities} == {"PER", "LOC", "ORG"}
    assert all(gold.text[start:end].strip() for gold in texts for start, end, _ in gold.entities)
