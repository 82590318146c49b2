//! `behemoth._gen.Lexicon`.

use std::sync::Arc;

use numpy::PyReadonlyArray1;
use pyo3::prelude::*;

use super::arguments::{same_length, slice};
use super::threads::run;
use crate::error::{Error, Result};
use crate::grammar::{
    Lexicon as Engine, PUNCTUATION, SHIPPED, SPECIAL_WORDS, TextGrammar, TextToken, Tokenizer,
    WordTokenizer,
};

/// A text grammar compiled with one tokenizer.
#[pyclass(module = "behemoth._gen", frozen)]
pub(super) struct Lexicon {
    pub(super) inner: Arc<Engine>,
}

/// A tokenizer implemented in Python.
struct PythonTokenizer {
    encode: Py<PyAny>,
    digest: String,
    size: u64,
    end: u32,
    /// The exception raised by Python, which is reported instead of the resulting error.
    raised: Option<PyErr>,
}

/// Ids, start and end offsets of the tokens of all texts, and the number of tokens of each text.
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
        same_length("tokenizer", ids.len(), starts.len())?;
        same_length("tokenizer", ids.len(), ends.len())?;
        let total: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
        same_length("tokenizer", ids.len(), total as usize)?;
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

    /// Returns this lexicon with words of its tokenizer for a filler, selected from `candidates`
    /// (the form at the beginning of a text and the form within one), and with the tokens that
    /// begin with a space.
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

    /// Returns a description of the grammar as JSON.
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

    /// Returns the relations of a world for this grammar as JSON.
    #[getter]
    fn relations(&self) -> String {
        let relations = self.inner.grammar().relations();
        serde_json::to_string(&relations).expect("plain data")
    }

    /// Returns the ambiguities of the grammar, one line each.
    fn ambiguities(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        run(py, 0, None, |progress| {
            self.inner.grammar().ambiguities(|| progress.add(1))
        })
    }

    /// Returns objects of a relation as text, without adjacent text.
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

/// Adds `Lexicon`, the grammars of the engine, and the punctuation and special words of the word
/// tokenizer.
pub(super) fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<Lexicon>()?;
    module.add("GRAMMARS", SHIPPED.to_vec())?;
    module.add("PUNCTUATION", PUNCTUATION)?;
    module.add("SPECIAL_WORDS", SPECIAL_WORDS.to_vec())
}
