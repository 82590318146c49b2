//! `behemoth._gen.Lexicon`.

use std::sync::Arc;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arguments::{same_length, slice};
use crate::error::{Error, Result};
use crate::grammar::{
    Lexicon as Engine, PUNCTUATION, SHIPPED, SPECIAL_WORDS, TextGrammar, TextToken, Tokenizer,
    WordTokenizer,
};

/// A text grammar in the tokens of one tokenizer.
#[pyclass(module = "behemoth._gen", frozen)]
pub(super) struct Lexicon {
    pub(super) inner: Arc<Engine>,
}

/// A tokenizer that Python has.
struct PythonTokenizer {
    encode: Py<PyAny>,
    digest: String,
    size: u64,
    end: u32,
    /// What Python raised, which comes before the refusal that follows from it.
    raised: Option<PyErr>,
}

/// Ids, first letters and ends of the tokens of all texts, and how many each text has.
type Encoded<'py> = (
    PyReadonlyArray1<'py, u32>,
    PyReadonlyArray1<'py, u32>,
    PyReadonlyArray1<'py, u32>,
    PyReadonlyArray1<'py, u32>,
);

impl From<(Py<PyAny>, String, u64, u32)> for PythonTokenizer {
    fn from((encode, digest, size, end): (Py<PyAny>, String, u64, u32)) -> Self {
        PythonTokenizer {
            encode,
            digest,
            size,
            end,
            raised: None,
        }
    }
}

impl PythonTokenizer {
    fn ask(&self, py: Python<'_>, texts: &[String]) -> PyResult<Vec<Vec<TextToken>>> {
        let encoded: Encoded<'_> = self.encode.bind(py).call1((texts,))?.extract()?;
        let (ids, starts) = (slice(&encoded.0)?, slice(&encoded.1)?);
        let (ends, lengths) = (slice(&encoded.2)?, slice(&encoded.3)?);
        same_length("tokenizer", texts.len(), lengths.len())?;
        same_length("tokenizer", ids.len(), starts.len())?;
        same_length("tokenizer", ids.len(), ends.len())?;
        let total: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        same_length("tokenizer", ids.len(), total as usize)?;
        if let Some(id) = ids.iter().find(|&&id| u64::from(id) >= self.size) {
            let allowed = format!("ids below {}", self.size);
            return Err(Error::argument("tokenizer", format!("token {id}"), allowed).into());
        }
        let tokens = ids.iter().zip(starts).zip(ends);
        let mut tokens = tokens.map(|((&id, &start), &end)| TextToken {
            id,
            start: start as usize,
            end: end as usize,
        });
        Ok(lengths
            .iter()
            .map(|&length| tokens.by_ref().take(length as usize).collect())
            .collect())
    }
}

impl Tokenizer for PythonTokenizer {
    fn digest(&self) -> String {
        self.digest.clone()
    }

    fn size(&self) -> u64 {
        self.size
    }

    fn end_of_document(&self) -> u32 {
        self.end
    }

    fn encode(&mut self, texts: &[String]) -> Result<Vec<Vec<TextToken>>> {
        let asked = Python::attach(|py| self.ask(py, texts));
        asked.map_err(|error| {
            self.raised = Some(error);
            Error::argument("tokenizer", "an error", "one that encodes text")
        })
    }
}

#[pymethods]
impl Lexicon {
    #[new]
    #[pyo3(signature = (file, text, tokenizer=None))]
    fn new(
        py: Python<'_>,
        file: &str,
        text: &str,
        tokenizer: Option<(Py<PyAny>, String, u64, u32)>,
    ) -> PyResult<Self> {
        let grammar = || TextGrammar::from_toml(file, text);
        let inner = match tokenizer {
            None => py.detach(|| Engine::new(grammar()?, &mut WordTokenizer::default()))?,
            Some(tokenizer) => {
                let mut tokenizer = PythonTokenizer::from(tokenizer);
                match py.detach(|| Engine::new(grammar()?, &mut tokenizer)) {
                    Ok(lexicon) => lexicon,
                    Err(error) => return Err(tokenizer.raised.unwrap_or_else(|| error.into())),
                }
            }
        };
        Ok(Lexicon {
            inner: Arc::new(inner),
        })
    }

    /// The same with words of its tokenizer for a filler, of these: as they open a text, and as they
    /// stand within one; and with which tokens begin with a space.
    fn with_words(
        &self,
        py: Python<'_>,
        tokenizer: (Py<PyAny>, String, u64, u32),
        candidates: Vec<(String, String)>,
        begins: Vec<u32>,
    ) -> PyResult<Self> {
        let mut tokenizer = PythonTokenizer::from(tokenizer);
        let made = py
            .detach(|| Engine::clone(&self.inner).with_words(&mut tokenizer, &candidates, &begins));
        match made {
            Ok(lexicon) => Ok(Lexicon {
                inner: Arc::new(lexicon),
            }),
            Err(error) => Err(tokenizer.raised.unwrap_or_else(|| error.into())),
        }
    }

    /// What the grammar says of itself, as JSON.
    #[getter]
    fn facts(&self) -> String {
        self.inner.grammar().facts().to_string()
    }

    #[getter]
    fn tokenizer(&self) -> &str {
        self.inner.tokenizer()
    }

    #[getter]
    fn vocabulary_size(&self) -> u64 {
        self.inner.size()
    }

    /// The relations of a world of it, as JSON.
    #[getter]
    fn relations(&self) -> String {
        let relations = self.inner.grammar().relations();
        serde_json::to_string(&relations).expect("plain data")
    }

    /// What two facts would have in common.
    fn ambiguities(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| self.inner.grammar().ambiguities())
    }

    /// How the objects of a relation are written where nothing touches them.
    fn objects(
        &self,
        py: Python<'_>,
        relation: usize,
        objects: PyReadonlyArray1<'_, u32>,
    ) -> PyResult<Vec<String>> {
        let objects = slice(&objects)?;
        Ok(py.detach(|| self.inner.grammar().object_texts(relation, objects))?)
    }
}

/// Name and text of the grammars that come with the engine, and what the word tokenizer is made
/// of: its punctuation and its special words.
pub(super) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Lexicon>()?;
    module.add("GRAMMARS", SHIPPED.to_vec())?;
    module.add("PUNCTUATION", PUNCTUATION)?;
    module.add("SPECIAL_WORDS", SPECIAL_WORDS.to_vec())
}
