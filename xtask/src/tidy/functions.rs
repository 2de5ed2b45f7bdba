//! No function is longer than a screen.

use super::lexer::Line;

/// From the line of `fn` to the line of its closing brace.
const MAX_LINES: usize = 60;

/// Names every function of a Rust file that is longer than [`MAX_LINES`], at the line of its `fn`.
pub(super) fn check(lines: &[Line]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        for (position, _) in line.code.match_indices("fn ") {
            let before = line.code[..position].chars().next_back();
            let name = line.code[position + 3..].split(|c: char| !c.is_alphanumeric() && c != '_').next();
            let Some(name) = name.filter(|name| !name.is_empty()) else { continue };
            if before.is_some_and(|character| character.is_alphanumeric() || character == '_') {
                continue;
            }
            let length = length(&lines[index..], position);
            if length > MAX_LINES {
                found.push((
                    index + 1,
                    format!("fn {name} has {length} lines; split it: {MAX_LINES} are allowed"),
                ));
            }
        }
    }
    found
}

/// The number of lines of the function whose `fn` is at `position` of the first line: up to the brace that closes the
/// first brace outside of parentheses and brackets, or up to a `;` there, which ends a function without a body.
fn length(lines: &[Line], position: usize) -> usize {
    let mut braces = 0_usize;
    let mut brackets = 0_usize;
    for (index, line) in lines.iter().enumerate() {
        let start = if index == 0 { position } else { 0 };
        for character in line.code[start..].chars() {
            match character {
                '(' | '[' => brackets += 1,
                ')' | ']' => brackets = brackets.saturating_sub(1),
                '{' if braces > 0 || brackets == 0 => braces += 1,
                '}' if braces == 1 => return index + 1,
                '}' => braces = braces.saturating_sub(1),
                ';' if braces == 0 && brackets == 0 => return index + 1,
                _ => {}
            }
        }
    }
    lines.len()
}

#[cfg(test)]
mod tests {
    use super::super::lexer::split;
    use super::*;

    /// A function whose first and last line stand around `body` lines.
    fn function(body: usize) -> String {
        format!("fn long(x: [f32; {{ 3 }}]) -> u32 {{\n{}}}\n", "    work(\"}\");\n".repeat(body))
    }

    #[test]
    fn a_function_may_have_sixty_lines_and_not_one_more() {
        assert_eq!(check(&split(&function(58))), [], "60 lines are allowed");
        let found = check(&split(&format!("// fn\n\n{}", function(59))));
        assert_eq!(found.len(), 1, "61 lines are not");
        assert_eq!(found[0].0, 3, "the line of `fn` is named");
        assert!(found[0].1.contains("fn long has 61 lines"), "{}", found[0].1);
    }

    #[test]
    fn declarations_and_pointers_are_no_functions() {
        let source = format!(
            "trait T {{\n    fn short(&self);\n    const F: fn (u8) = g;\n{}}}\n",
            "// \n".repeat(70)
        );
        assert_eq!(check(&split(&source)), [], "neither has a body");
    }
}
