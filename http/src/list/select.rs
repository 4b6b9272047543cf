//! Which fields of the items are answered (REST contract, section 1.8).

use crate::code::Code;
use crate::format;
use crate::problem::Problem;
use crate::query::Query;

/// Takes `select`: names of fields that `field` knows.
///
/// # Errors
/// When a name is empty or unknown.
pub(crate) fn take<F>(query: &mut Query, field: impl Fn(&str) -> Option<F>) -> Result<Option<Vec<F>>, Problem> {
    let Some(names) = query.list("select", format::FIELD)? else { return Ok(None) };
    let known = |name: &String| {
        field(name).ok_or_else(|| {
            Problem::refused_for(Code::SelectField, format!("{}: '{name}'", Code::SelectField.message()))
        })
    };
    names.iter().map(known).collect::<Result<Vec<F>, Problem>>().map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_fields_are_refused() {
        let field = |name: &str| (name == "name").then_some(());
        let select = |raw| take(&mut Query::parse(Some(raw)).unwrap(), field);
        assert_eq!(select("select=name").unwrap(), Some(vec![()]));
        assert_eq!(select("").unwrap(), None);
        assert!(select("select=nope").is_err());
        assert!(select("select=").is_err());
    }
}
