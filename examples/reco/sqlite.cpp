#include "sqlite.hpp"

namespace reco {

Database::Database(const std::string& path, int flags) : path_(path) {
  sqlite3* handle = nullptr;
  const int result = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  handle_.reset(handle);
  if (result != SQLITE_OK) fail(sqlite3_errmsg(handle));
}

void Database::fail(const std::string& what) const {
  throw UsageError("conditions " + path_ + ": " + what);
}

void Database::execute(const std::string& sql) {
  if (sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail(sqlite3_errmsg(handle_.get()));
  }
}

Statement::Statement(Database& database, std::string_view sql) : database_(database) {
  sqlite3_stmt* handle = nullptr;
  if (sqlite3_prepare_v2(database.handle_.get(), sql.data(), static_cast<int>(sql.size()), &handle,
                         nullptr) != SQLITE_OK) {
    database.fail(sqlite3_errmsg(database.handle_.get()));
  }
  handle_.reset(handle);
}

Statement& Statement::bind(int parameter, std::int64_t value) {
  sqlite3_bind_int64(handle_.get(), parameter, value);
  return *this;
}

Statement& Statement::bind(int parameter, double value) {
  sqlite3_bind_double(handle_.get(), parameter, value);
  return *this;
}

Statement& Statement::bind(int parameter, std::string_view text) {
  sqlite3_bind_text(handle_.get(), parameter, text.data(), static_cast<int>(text.size()), SQLITE_STATIC);
  return *this;
}

Statement& Statement::bind_bytes(int parameter, const void* data, std::size_t size) {
  sqlite3_bind_blob(handle_.get(), parameter, data, static_cast<int>(size), SQLITE_STATIC);
  return *this;
}

bool Statement::step() {
  const int result = sqlite3_step(handle_.get());
  if (result == SQLITE_ROW) return true;
  if (result != SQLITE_DONE) database_.fail(sqlite3_errmsg(database_.handle_.get()));
  sqlite3_reset(handle_.get());
  return false;
}

std::string Statement::text(int column) {
  const auto* data = reinterpret_cast<const char*>(sqlite3_column_text(handle_.get(), column));
  return data ? data : "";
}

const void* Statement::bytes(int column, std::size_t size) {
  const void* data = sqlite3_column_blob(handle_.get(), column);
  if (!data || static_cast<std::size_t>(sqlite3_column_bytes(handle_.get(), column)) != size) {
    database_.fail("a payload has the wrong size");
  }
  return data;
}

}  // namespace reco
