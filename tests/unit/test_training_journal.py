from nlp.training.journal import Journal


def test_a_run_that_goes_on_takes_back_what_it_will_do_again(tmp_path):
    journal = Journal(tmp_path, 0)
    for step in (10, 20, 30):
        journal.write({"step": step, "epoch": step / 10, "loss": 1.0})
    with (tmp_path / "log.jsonl").open("a") as file:
        file.write('{"step": 40, "lo')  # killed while it wrote
    journal = Journal(tmp_path, 20)
    journal.write({"step": 25, "epoch": 2.5, "loss": 0.5})
    assert [entry["step"] for entry in Journal(tmp_path, 99).entries] == [10, 20, 25]
