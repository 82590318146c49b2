//! Properties of templates for Python, so that no code depends on their names.

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList};
use serde_json::{Value, json};

use crate::corpus::Corpus;
use crate::grammar::{Form, Template};

/// Returns `behemoth._gen.TEMPLATES`.
pub(super) fn all(py: Python<'_>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for template in Template::ALL.iter().copied().map(Form::Template) {
        let facts = PyDict::new(py);
        facts.set_item("name", template.name())?;
        facts.set_item("family", template.family().name())?;
        facts.set_item("asks", template.asks().name())?;
        facts.set_item("is_question", template.is_question())?;
        facts.set_item("filler_follows", template.filler_follows())?;
        list.append(facts)?;
    }
    Ok(list)
}

/// Returns the wordings of a corpus as JSON.
pub(super) fn wordings(corpus: &Corpus) -> String {
    let wordings = corpus.wordings().iter().enumerate();
    let list: Vec<Value> = wordings
        .map(|(index, wording)| {
            let template = wording.form;
            json!({
                "wording_index": index,
                "name": template.name(),
                "wording": wording.number,
                "held_out": wording.held_out,
                "family": template.family().name(),
                "asks": template.asks().name(),
                "is_question": template.is_question(),
                "filler_follows": template.filler_follows(),
                "share": wording.share,
                "probe": wording.can_probe(),
                "combinations": wording.combinations(),
            })
        })
        .collect();
    Value::from(list).to_string()
}
