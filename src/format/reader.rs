//! A JSON document read forward, without a tree: names and values in the order in which they stand.

use std::borrow::Cow;

use jiter::{Jiter, JiterError, Peek};

use super::Error;
use super::leaf::Leaf;

/// A place in a document, from which it is read on.
pub struct Reader<'a> {
    /// What the document is meant to be, for people.
    format: &'static str,
    text: &'a str,
    json: Jiter<'a>,
}

impl<'a> Reader<'a> {
    /// The beginning of `body`, which is meant to be of `format`.
    ///
    /// # Errors
    /// [`Error::Json`]: it is no UTF-8.
    pub fn new(format: &'static str, body: &'a [u8]) -> Result<Self, Error> {
        let text = str::from_utf8(body).map_err(|error| Error::Json {
            format,
            mistake: error.to_string(),
        })?;
        Ok(Reader {
            format,
            text,
            json: Jiter::new(body),
        })
    }

    /// What comes next.
    ///
    /// # Errors
    /// [`Error::Json`], as of all functions here.
    pub fn peek(&mut self) -> Result<Peek, Error> {
        self.json.peek().map_err(|error| self.mistake(&error))
    }

    /// Enters the object that comes next; `false` if it is empty, else its first member's name is in `name`.
    pub fn enter(&mut self, name: &mut String) -> Result<bool, Error> {
        match self.json.next_object() {
            Ok(first) => Ok(keep(first, name)),
            Err(error) => Err(self.mistake(&error)),
        }
    }

    /// Goes on to the next member, whose name is then in `name`; `false` if the object ends.
    pub fn next(&mut self, name: &mut String) -> Result<bool, Error> {
        match self.json.next_key() {
            Ok(next) => Ok(keep(next, name)),
            Err(error) => Err(self.mistake(&error)),
        }
    }

    /// Enters the array that comes next, and says what its first element is.
    pub fn enter_array(&mut self) -> Result<Option<Peek>, Error> {
        let first = self.json.next_array();
        first.map_err(|error| self.mistake(&error))
    }

    /// Goes on to the next element, and says what it is.
    pub fn next_element(&mut self) -> Result<Option<Peek>, Error> {
        let next = self.json.array_step();
        next.map_err(|error| self.mistake(&error))
    }

    /// Reads over the value that comes next.
    pub fn skip(&mut self) -> Result<(), Error> {
        self.json.next_skip().map_err(|error| self.mistake(&error))
    }

    /// Reads the value that comes next, which is a `peek`.
    pub fn leaf(&mut self, peek: Peek) -> Result<Leaf<'a>, Error> {
        // Where it stands is known once it has been peeked at.
        let start = self.json.current_index();
        let read = if peek.is_num() {
            self.json.known_number_bytes(peek).map(drop)
        } else if peek == Peek::String {
            match self.json.known_str() {
                Ok(text) => return Ok(Leaf::text(Cow::Owned(text.to_owned()))),
                Err(error) => Err(error),
            }
        } else {
            self.json.known_skip(peek)
        };
        match read {
            Err(error) => Err(self.mistake(&error)),
            Ok(()) if peek.is_num() => {
                // A number's bytes are ASCII, so that the cuts lie between characters.
                Ok(Leaf::number(&self.text[start..self.json.current_index()]))
            }
            Ok(()) if peek == Peek::True => Ok(Leaf::Number("1")),
            Ok(()) if peek == Peek::False => Ok(Leaf::Number("0")),
            Ok(()) => Ok(Leaf::Other),
        }
    }

    /// The end of the document.
    pub fn end(mut self) -> Result<(), Error> {
        self.json.finish().map_err(|error| self.mistake(&error))
    }

    #[cold]
    fn mistake(&self, error: &JiterError) -> Error {
        Error::Json {
            format: self.format,
            mistake: error.description(&self.json),
        }
    }
}

/// The parser's texts last until it goes on, a name longer.
fn keep(text: Option<&str>, name: &mut String) -> bool {
    name.clear();
    name.push_str(text.unwrap_or_default());
    text.is_some()
}
