"""php: it loads its extensions with RTLD_DEEPBIND, so that they see glibc's malloc before a preloaded one, and give
to one what they got from the other."""
import pytest

from plain_and_heap import need, run, same_output

EXTENSIONS = ["intl", "mbstring", "dom", "xml", "sqlite3", "simplexml", "tokenizer", "ctype", "posix", "sockets"]

WORK = r"""<?php
$table = [];
for ($i = 0; $i < 50000; $i++) $table["key $i"] = [$i, str_repeat("x", $i % 60), ["n" => $i]];

function work($table, $round) {
  $document = new DOMDocument();
  $root = $document->appendChild($document->createElement("root"));
  for ($i = 0; $i < 500; $i++) $root->appendChild($document->createElement("item", "text $i"));
  $xml = simplexml_load_string($document->saveXML());
  $database = new SQLite3(":memory:");
  $database->exec("create table t (a integer, b text)");
  for ($i = 0; $i < 300; $i++) $database->exec("insert into t values ($i, '" . str_repeat("b", $i) . "')");
  $collator = new Collator("de_DE");
  $words = ["zebra", "Äpfel", "apfel", "ähre"];
  $collator->sort($words);
  $formatter = new NumberFormatter("en_US", NumberFormatter::SPELLOUT);
  return implode(" ", [$round, count($xml->item), $database->querySingle("select sum(length(b)) from t"),
    implode(",", $words), $formatter->format($round), mb_strtoupper("straße äöü"), iconv("UTF-8", "UTF-16LE", "x") === "x\0",
    md5(serialize(array_slice($table, $round * 100, 1000))), count(token_get_all("<?php echo 1 + 2;"))]) . "\n";
}

for ($round = 1; $round <= 5; $round++) echo work($table, $round);
if (function_exists("pcntl_fork"))
  for ($round = 6; $round <= 10; $round++) {
    $pid = pcntl_fork();
    if ($pid == 0) { echo work($table, $round); exit(0); }
    pcntl_waitpid($pid, $status);
    if ($status !== 0) { echo "child gave $status\n"; exit(1); }
  }
"""


@pytest.fixture(autouse=True)
def php_with_extensions():
    need("php")
    loaded = run(["php", "-m"]).stdout.lower().split()
    missing = [name for name in EXTENSIONS if name not in loaded]
    if missing:
        pytest.skip(f"php lacks the extensions {', '.join(missing)} (php-intl php-mbstring php-xml php-sqlite3)")


@pytest.mark.parametrize("own_malloc", ["1", "0"], ids=["with its own malloc", "with the system's malloc"])
def test_works_and_forks(tmp_path, heap, own_malloc):
    script = tmp_path / "work.php"
    script.write_text(WORK)
    said = same_output(["php", script], heap, env={"USE_ZEND_ALLOC": own_malloc})
    assert len(said.splitlines()) in (5, 10)


def test_lists_its_modules(heap):
    same_output(["php", "-m"], heap)
