//! Worlds that are refused, each with the complete message.

use crate::common::try_corpus;

#[test]
fn worlds_are_refused_by_name() {
    for (text, name, got, allowed) in [
        ("subjects = 0", "subjects", "0", "at least 1"),
        (
            "subjects = -1",
            "subjects",
            "-1",
            "a whole number, not negative",
        ),
        (
            "subjects = 1.5",
            "subjects",
            "1.5",
            "a whole number, not negative",
        ),
        (
            "subjects = \"many\"",
            "subjects",
            "\"many\"",
            "a whole number",
        ),
        (
            "subjects = 5000000000000000000",
            "subjects",
            "5000000000000000000",
            "a whole number up to 4611686018427387904",
        ),
        (
            "subjects = inf",
            "subjects",
            "inf",
            "a whole number, not negative",
        ),
        (
            "subjects = nan",
            "subjects",
            "NaN",
            "a whole number, not negative",
        ),
        ("relations = 0", "relations", "0", "1 to 10000"),
        (
            "relations = -3",
            "relations",
            "-3",
            "a whole number, not negative",
        ),
        ("relations = 2000000", "relations", "2000000", "1 to 10000"),
        ("relations = []", "relations", "0", "1 to 10000"),
        (
            "relations = \"six\"",
            "relations",
            "\"six\"",
            "a whole number or a list",
        ),
        ("objects = 0", "objects", "0", "at least 1"),
        (
            "objects = -1",
            "objects",
            "-1",
            "a whole number, not negative",
        ),
        (
            "objects = 0.5",
            "objects",
            "0.5",
            "a whole number, not negative",
        ),
        (
            "objects = 4294967295",
            "objects",
            "4294967295",
            "up to 4294967294",
        ),
        (
            "relations = 3\nobjects = [4, 5]",
            "objects",
            "2 numbers",
            "one number, or one for each of the 3 relations",
        ),
        (
            "relations = 1\nobjects = [-4]",
            "objects[0]",
            "-4",
            "a whole number, not negative",
        ),
        (
            "subject = 5",
            "subject",
            "`subject` (did you mean subjects?)",
            "`seed`, `subjects`, `relations`, `objects`, `nested`, `correlated`, `minority`, `table`",
        ),
        ("seed = -1", "seed", "-1", "a whole number, not negative"),
        ("seed = 0.5", "seed", "0.5", "a whole number, not negative"),
        (
            "minority = 1.5",
            "minority",
            "1.5",
            "a fraction from 0 to 1",
        ),
        (
            "minority = -0.1",
            "minority",
            "-0.1",
            "a fraction from 0 to 1",
        ),
        (
            "minority = nan",
            "minority",
            "NaN",
            "a fraction from 0 to 1",
        ),
        (
            "minority = 4e-10",
            "minority",
            "0.0000000004",
            "0, or at least a billionth: fractions are rounded to billionths",
        ),
        (
            "minority = 0.5\nobjects = 1",
            "minority",
            "0.5",
            "0, since a relation has only one object",
        ),
        (
            "minority = 0.5\nrelations = [{kind = \"one_to_one\"}]",
            "minority",
            "0.5",
            "0, since no relation draws its objects",
        ),
        (
            "objects = 10\nnested = 3",
            "nested",
            "3",
            "a divisor of 10, the objects of relation 0",
        ),
        ("objects = 10\nnested = 0", "nested", "0", "at least 1"),
        (
            "objects = 10\nnested = 20",
            "nested",
            "20",
            "a divisor of 10, the objects of relation 0",
        ),
        (
            "relations = 1\ncorrelated = {strength = 0.5}",
            "relations",
            "1",
            "at least 2, so that the second can be correlated with the first",
        ),
        (
            "objects = 10\ncorrelated = {strength = 0.1}",
            "correlated.strength",
            "0.1",
            "above chance (1/10) up to 1",
        ),
        (
            "objects = 10\ncorrelated = {strength = 0.5, binarised = true}",
            "correlated.strength",
            "0.5",
            "above chance (1/2) up to 1",
        ),
        (
            "objects = 10\ncorrelated = {strength = 1.5}",
            "correlated.strength",
            "1.5",
            "a fraction from 0 to 1",
        ),
        (
            "objects = 10\ncorrelated = {}",
            "correlated",
            "no `strength`",
            "a value for it",
        ),
        (
            "objects = 1\ncorrelated = {strength = 1}",
            "objects",
            "a relation of 1 objects",
            "a relation of at least 2 objects",
        ),
        (
            "relations = 2\nobjects = [4, 5]\ncorrelated = {strength = 1}",
            "objects",
            "4 and 5",
            "the same number for relations 0 and 1, which are correlated",
        ),
        (
            "objects = 4\nrelations = [{kind = \"one_to_one\"}]",
            "objects",
            "a value beside a list of relations",
            "only with a number of relations; in a list, each relation has its own",
        ),
        (
            "nested = 4\nrelations = [{kind = \"one_to_one\"}]",
            "nested",
            "a value beside a list of relations",
            "only with a number of relations; in a list, each relation has its own",
        ),
        (
            "relations = [{kind = \"unknown\"}]",
            "relations[0].kind",
            "`unknown`",
            "`independent`, `zipf`, `correlated`, `one_to_one`, `inverse`, `composed`",
        ),
        (
            "relations = [{objects = 4}]",
            "relations[0].kind",
            "nothing",
            "`independent`, `zipf`, `correlated`, `one_to_one`, `inverse`, `composed`",
        ),
        (
            "relations = [{kind = \"independent\"}]",
            "relations[0]",
            "no `objects`",
            "a value for it",
        ),
        (
            "relations = [{kind = \"independent\", objects = -4}]",
            "relations[0].objects",
            "-4",
            "a whole number, not negative",
        ),
        (
            "relations = [{kind = \"independent\", objects = 4, alpha = 1}]",
            "relations[0].alpha",
            "`alpha`",
            "`objects` or `binarised`",
        ),
        (
            "relations = [{kind = \"independent\", objects = 1, binarised = true}]",
            "relations[0].objects",
            "1",
            "at least 2",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 4}]",
            "relations[0]",
            "no `alpha`",
            "a value for it",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 4, alfa = 1}]",
            "relations[0].alfa",
            "`alfa` (did you mean alpha?)",
            "`objects` or `alpha`",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 4, alpha = -1}]",
            "relations[0].alpha",
            "-1",
            "0 to 100",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 4, alpha = nan}]",
            "relations[0].alpha",
            "NaN",
            "0 to 100",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 1000000000, alpha = 1}]",
            "relations[0].objects",
            "1000000000",
            "up to 268435456 for kind zipf, whose weights are kept in memory",
        ),
        (
            "relations = [{kind = \"zipf\", objects = 268435456, alpha = 1}, \
             {kind = \"zipf\", objects = 268435456, alpha = 1}, \
             {kind = \"zipf\", objects = 268435456, alpha = 1}, \
             {kind = \"zipf\", objects = 268435456, alpha = 1}, \
             {kind = \"zipf\", objects = 2, alpha = 1}]",
            "relations[4].objects",
            "2 and so 1073741826 in relations of kind zipf",
            "up to 1073741824 in all of them, whose weights are kept in memory",
        ),
        (
            "relations = [{kind = \"correlated\", with = 0, strength = 0.5}]",
            "relations[0].with",
            "0",
            "an earlier relation (this is the first)",
        ),
        (
            "relations = [{kind = \"independent\", objects = 4}, {kind = \"correlated\", with = 1, strength = 0.5}]",
            "relations[1].with",
            "1",
            "an earlier relation, 0 to 0",
        ),
        (
            "relations = [{kind = \"independent\", objects = 4}, {kind = \"correlated\", with = 0, strength = 0.5, binarised = true}]",
            "relations[1].binarised",
            "true",
            "only when the relation it is correlated with is binarised",
        ),
        (
            "relations = [{kind = \"independent\", objects = 4, binarised = true}, {kind = \"correlated\", with = 0, strength = 0.5}]",
            "relations[1].strength",
            "0.5",
            "above chance (1/2) up to 1",
        ),
        (
            "subjects = 10\nrelations = [{kind = \"one_to_one\", objects = 9}]",
            "relations[0].objects",
            "9",
            "at least subjects (10) for kind one_to_one",
        ),
        (
            "subjects = 10\nrelations = [{kind = \"one_to_one\", objects = 11}, {kind = \"inverse\", of = 0}]",
            "relations[1].of",
            "a relation of 11 objects",
            "a relation of as many objects as subjects (10)",
        ),
        (
            "subjects = 10\nrelations = [{kind = \"independent\", objects = 10}, {kind = \"inverse\", of = 0}]",
            "relations[1].of",
            "relation 0",
            "a relation of kind one_to_one",
        ),
        (
            "relations = [{kind = \"independent\", objects = 10}, {kind = \"composed\", of = 0, objects = 4}]",
            "relations[1].objects",
            "4",
            "a divisor of 10, the objects of relation 0",
        ),
        (
            "relations = [{kind = \"independent\", objects = 10}, {kind = \"composed\", of = 5, objects = 5}]",
            "relations[1].of",
            "5",
            "an earlier relation, 0 to 0",
        ),
        (
            "subjects = 4000000000000000000\nrelations = 2",
            "subjects x relations",
            "4000000000000000000 x 2",
            "a product up to 4611686018427387904",
        ),
        (
            "subjects = 8589934592\nrelations = [{kind = \"one_to_one\"}]",
            "relations[0].objects",
            "8589934592",
            "up to 4294967294",
        ),
        (
            "table = {relations = []}",
            "table.relations",
            "0",
            "at least 1",
        ),
        (
            "table = {relations = [{objects = 0}]}",
            "table.relations[0].objects",
            "0",
            "at least 1",
        ),
        (
            "table = {relations = [{objects = 4, nested = 0}]}",
            "table.relations[0].nested",
            "0",
            "at least 1",
        ),
        (
            "objects = 4\ntable = {relations = [{objects = 4}]}",
            "objects",
            "a value beside a table",
            "nothing: the table determines it",
        ),
        (
            "relations = 4000000000",
            "relations",
            "4000000000",
            "1 to 10000",
        ),
    ] {
        let error = try_corpus(&format!("[world]\n{text}\n"));
        assert_eq!(
            error.unwrap_err().to_string(),
            format!("argument '{name}': got {got}, allowed: {allowed}"),
            "{text}"
        );
    }
}
