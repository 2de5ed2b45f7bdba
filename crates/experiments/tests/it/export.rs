//! Tables of runs as files.

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::RowAccessor as _;
use serde_json::json;
use sharpness_experiments::store::RunTable;

#[test]
fn a_parquet_file_has_typed_columns_and_nulls() {
    let names = ["id", "config.seed", "training.test_accuracy", "config.measure.lambda_min", "mixed"];
    let table = RunTable {
        columns: names.map(str::to_owned).to_vec(),
        rows: vec![
            vec![json!("a"), json!(0), json!(0.5), json!(true), json!([1, 2])],
            vec![json!("b"), json!(7), json!(null), json!(false), json!(1)],
        ],
    };
    let file = SerializedFileReader::new(bytes::Bytes::from(table.parquet().unwrap())).unwrap();
    let rows: Vec<_> = file.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 2, "a row for each run");
    let (first, second) = (&rows[0], &rows[1]);
    assert_eq!(first.get_string(0).unwrap(), "a", "texts");
    assert_eq!(second.get_long(1).unwrap(), 7, "whole numbers");
    assert!((first.get_double(2).unwrap() - 0.5).abs() < f64::EPSILON, "numbers");
    assert!(second.get_double(2).is_err(), "what a run does not have is null");
    assert!(first.get_bool(3).unwrap(), "truth values");
    assert_eq!(first.get_string(4).unwrap(), "[1,2]", "lists are texts of JSON");
}
