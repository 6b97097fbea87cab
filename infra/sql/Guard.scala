package org.apache.spark.sql.hive.thriftserver.tidegate

import java.util.Locale

import org.apache.hadoop.fs.Path

import org.apache.spark.sql.SparkSessionExtensions
import org.apache.spark.sql.catalyst.{FunctionIdentifier, TableIdentifier}
import org.apache.spark.sql.catalyst.analysis._
import org.apache.spark.sql.catalyst.catalog.UnresolvedCatalogRelation
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.parser.{ParameterContext, ParserInterface}
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.delta.catalog.DeltaTableV2
import org.apache.spark.sql.execution.command._
import org.apache.spark.sql.execution.datasources.{HadoopFsRelation, LogicalRelation}
import org.apache.spark.sql.execution.datasources.v2.{DataSourceV2Relation, DataSourceV2ScanRelation}
import org.apache.spark.sql.types.{DataType, StructType}

/** A statement that is not run here. */
class RefusedException(what: String) extends RuntimeException(
  s"refused: $what. Published tables are only read here: SELECT, WITH, VALUES, SHOW, DESCRIBE, USE, EXPLAIN")

/**
 * What keeps a session to reading published tables.
 *
 * A statement is judged as it is parsed, before Spark looks at any file that it names: what is not known to be
 * harmless is refused. A second check looks at what was resolved: no file outside the lake's `warehouse`
 * and `ops` is read, whatever the first one overlooked. (The storage keys are the third: they reach no other.)
 */
object Guard {
  def inject(extensions: SparkSessionExtensions, releases: => Releases, rows: Long): Unit = {
    extensions.injectParser((_, delegate) => new ReadingParser(delegate, releases, rows))
    extensions.injectCheckRule(_ => new InsideLake(releases.lake))
  }
}

/** Parses statements and refuses those that do more than read published tables. */
class ReadingParser(delegate: ParserInterface, releases: => Releases, rows: Long) extends ParserInterface {
  override def parsePlan(text: String): LogicalPlan = bounded(Statements.check(delegate.parsePlan(text)))

  override def parsePlanWithParameters(text: String, parameters: ParameterContext): LogicalPlan =
    bounded(Statements.check(delegate.parsePlanWithParameters(text, parameters)))

  /**
   * A part of a result is held in memory as a whole, so none may have many more rows than the result.
   *
   * (The front counts the rows of all parts: a result that is cut here is an error there.)
   */
  private def bounded(plan: LogicalPlan): LogicalPlan = plan match {
    case command: Command => command
    case query => LocalLimit(Literal(Math.min(rows + 1, Int.MaxValue).toInt), query)
  }

  /** Spark parses the texts of views by this one. */
  override def parseQuery(text: String): LogicalPlan =
    releases.viewPlan(text).getOrElse(Statements.check(delegate.parseQuery(text)))

  override def parseExpression(text: String): Expression = delegate.parseExpression(text)
  override def parseTableIdentifier(text: String): TableIdentifier = delegate.parseTableIdentifier(text)
  override def parseFunctionIdentifier(text: String): FunctionIdentifier =
    delegate.parseFunctionIdentifier(text)
  override def parseMultipartIdentifier(text: String): Seq[String] =
    delegate.parseMultipartIdentifier(text)
  override def parseRoutineParam(text: String): StructType = delegate.parseRoutineParam(text)
  override def parseTableSchema(text: String): StructType = delegate.parseTableSchema(text)
  override def parseDataType(text: String): DataType = delegate.parseDataType(text)
}

/** Judges parsed statements. */
object Statements {
  /** Settings that a session may change: they touch what is shown, and nothing that guards. */
  val Settable: Set[String] = Set("spark.sql.session.timezone", "spark.sql.ansi.enabled")

  /** Functions that call Java, read files, or need a module that is not here. */
  private val Denied = Set(
    "java_method", "reflect", "try_reflect", "from_avro", "to_avro", "schema_of_avro", "from_protobuf", "to_protobuf")

  private lazy val functions: Set[String] =
    FunctionRegistry.functionSet.map(_.funcName.toLowerCase(Locale.ROOT)) -- Denied

  private val TableFunctions = Set(
    "range", "explode", "explode_outer", "posexplode", "posexplode_outer", "inline", "inline_outer", "stack",
    "json_tuple", "variant_explode", "variant_explode_outer", "sql_keywords", "collations")

  /** Nodes of queries as they are parsed, by name: some are private to Spark. */
  private val Nodes = Set(
    "Aggregate", "AsOfJoin", "Deduplicate", "Distinct", "Except", "Expand", "Filter", "Generate", "GlobalLimit",
    "Intersect", "Join", "LateralJoin", "LimitAll", "LocalLimit", "LocalRelation", "NearestByJoin", "Offset",
    "OneRowRelation", "Pivot", "Project", "RebalancePartitions", "Repartition", "RepartitionByExpression",
    "ResolvedInlineTable", "Sample", "Sort", "SubqueryAlias", "Union", "Unpivot", "UnresolvedHaving", "UnresolvedHint",
    "UnresolvedInlineTable", "UnresolvedOrdinalPlan", "UnresolvedQualify", "UnresolvedSubqueryColumnAliases",
    "UnresolvedTVFAliases", "UnresolvedWith", "Window", "WithCTE", "WithWindowDefinition", "PipeOperator")

  def check(plan: LogicalPlan): LogicalPlan = {
    plan match {
      case SetCommand(Some((key, Some(_)))) =>
        if (!Settable.contains(key.toLowerCase(Locale.ROOT))) refuse(s"to set $key")
      case SetCommand(_) => // shows settings; there is no secret among them
      case ExplainCommand(query, _) => walk(query)
      case DescribeQueryCommand(_, query) => walk(query)
      case _: ShowTables | _: ShowNamespacesCommand | _: ShowViews | _: ShowColumns | _: ShowFunctions |
          _: DescribeRelation | _: DescribeColumn | _: DescribeNamespace | _: DescribeFunction |
          _: SetCatalogAndNamespace =>
        plan.productIterator.foreach(walk)
      case _: ShowCurrentNamespaceCommand | _: ShowCatalogsCommand => // of this session
      case SetNamespaceCommand(parts) => schema(parts)
      case query => walk(query)
    }
    plan
  }

  /** Looks at every node and expression below, wherever a node keeps it. */
  private def walk(any: Any): Unit = any match {
    case node: LogicalPlan =>
      judge(node)
      node.productIterator.foreach(walk)
    case expression: Expression =>
      judge(expression)
      expression.productIterator.foreach(walk)
    case many: Iterable[_] => many.foreach(walk)
    case product: Product => product.productIterator.foreach(walk)
    case _ =>
  }

  private def judge(node: LogicalPlan): Unit = node match {
    case relation: UnresolvedRelation =>
      table(relation.multipartIdentifier)
      if (!relation.options.isEmpty) refuse("options of a table")
      if (relation.isStreaming) refuse("a stream")
    case UnresolvedTableOrView(parts, _, _, _) => table(parts)
    case UnresolvedTable(parts, _, _) => table(parts)
    case UnresolvedNamespace(parts, _) => schema(parts)
    case _: CurrentNamespace.type =>
    case named: UnresolvedFunctionName => function(named.multipartIdentifier, functions)
    case called: UnresolvedTableValuedFunction => function(called.name, TableFunctions)
    case other if Nodes.contains(name(other)) =>
    case other => refuse(s"this kind of statement (${name(other)})")
  }

  private def judge(expression: Expression): Unit = expression match {
    case called: UnresolvedFunction => function(called.nameParts, functions)
    case called: UnresolvedGenerator => function(called.name.nameParts, functions)
    case _: ExpressionWithUnresolvedIdentifier => refuse("IDENTIFIER(…)")
    case _: CallMethodViaReflection => refuse("a call of Java")
    case _ =>
  }

  private def table(parts: Seq[String]): Unit = inCatalog(parts) match {
    case Seq(_) =>
    case Seq(schema, _) if Lake.isSchema(schema) =>
    case _ => refuse(s"${parts.mkString(".")} is no published table")
  }

  private def schema(parts: Seq[String]): Unit = inCatalog(parts) match {
    case Seq() =>
    case Seq(schema) if Lake.isSchema(schema) =>
    case _ => refuse(s"${parts.mkString(".")} is no schema")
  }

  private def function(parts: Seq[String], allowed: Set[String]): Unit =
    if (parts.size != 1 || !allowed.contains(parts.head.toLowerCase(Locale.ROOT))) {
      refuse(s"the function ${parts.mkString(".")}")
    }

  private def inCatalog(parts: Seq[String]): Seq[String] =
    if (parts.headOption.exists(_.equalsIgnoreCase("spark_catalog"))) parts.tail else parts

  private def name(node: LogicalPlan): String = node.getClass.getSimpleName.stripSuffix("$")

  private def refuse(what: String): Nothing = throw new RefusedException(what)
}

/** Refuses resolved plans that read anything but tables of the lake. */
class InsideLake(lake: Lake) extends (LogicalPlan => Unit) {
  override def apply(plan: LogicalPlan): Unit = plan.foreachWithSubqueries { node =>
    node match {
      case LogicalRelation(files: HadoopFsRelation, _, _, _, _) =>
        files.location.rootPaths.foreach(inside)
      case relation: LogicalRelation => refuse(relation.relation.getClass.getSimpleName)
      case relation: DataSourceV2Relation => inside(relation.table)
      case relation: DataSourceV2ScanRelation => inside(relation.relation.table)
      case relation: UnresolvedCatalogRelation => refuse(relation.tableMeta.identifier.unquotedString)
      case leaf: LeafNode if !Leaves.contains(leaf.getClass.getSimpleName.stripSuffix("$")) &&
          !leaf.isInstanceOf[Command] =>
        refuse(leaf.getClass.getSimpleName)
      case _ =>
    }
    node.expressions.foreach(_.foreach {
      case _: CallMethodViaReflection => refuse("a call of Java")
      case _ =>
    })
  }

  /** Leaves that read no file, and those that Delta reads its own log by. */
  private val Leaves = Set(
    "CTERelationRef", "LocalRelation", "LogicalRDD", "OneRowRelation", "Range", "ResolvedNamespace",
    "ResolvedPersistentView", "ResolvedNonPersistentFunc", "CommandResult", "UnionLoopRef")

  private def inside(table: Any): Unit = table match {
    case delta: DeltaTableV2 => inside(delta.path)
    case other => refuse(other.getClass.getSimpleName)
  }

  private def inside(path: Path): Unit =
    if (!lake.contains(path)) refuse(s"$path is not of the published tables")

  private def refuse(what: String): Nothing = throw new RefusedException(what)
}
