package tidegate

import java.io.{ByteArrayOutputStream, FileNotFoundException, IOException}
import java.nio.charset.StandardCharsets.UTF_8
import java.nio.file.FileAlreadyExistsException
import java.util.{Arrays, Iterator => JavaIterator, UUID}

import scala.annotation.tailrec
import scala.collection.mutable.ArrayBuffer
import scala.jdk.CollectionConverters._
import scala.util.control.NonFatal

import io.delta.storage.HadoopFileSystemLogStore
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.{FSDataOutputStream, FSDataOutputStreamBuilder, FileStatus, FileSystem, Path}
import org.apache.hadoop.fs.s3a.{S3AFileSystem, S3AUtils}
import software.amazon.awssdk.core.exception.SdkException
import software.amazon.awssdk.services.s3.model.ListObjectsV2Request

/** Writes and lists the logs of Delta tables on S3, so that several processes can write a table.
  *
  * A log entry is created only if there is none of its number (`If-None-Match: *`), as delta-rs does it. Delta's own
  * store looks first and overwrites then, which loses commits of other processes.
  *
  * The answer to a write can be lost, and S3A repeats what got no answer: then the store refuses a commit because of
  * itself. So each entry has an id in its metadata, and after any failure the object says whose it is.
  */
class ConditionalLogStore(conf: Configuration) extends HadoopFileSystemLogStore(conf) {
  import ConditionalLogStore._

  override def write(
      path: Path,
      actions: JavaIterator[String],
      overwrite: java.lang.Boolean,
      conf: Configuration
  ): Unit = {
    // Whole before the store is asked: where an action can't be written, nothing is.
    val entry = new ByteArrayOutputStream
    actions.forEachRemaining { action =>
      entry.write(action.getBytes(UTF_8))
      entry.write('\n')
    }
    val fs = path.getFileSystem(conf)
    if (overwrite) send(fs.create(path, true), entry)
    else create(fs, path, entry, UUID.randomUUID.toString, Attempts)
  }

  override def isPartialWriteVisible(path: Path, conf: Configuration): java.lang.Boolean = false

  override def listFrom(path: Path, conf: Configuration): JavaIterator[FileStatus] =
    path.getFileSystem(conf) match {
      case s3a: S3AFileSystem => list(s3a, s3a.makeQualified(path)).iterator.asJava
      case _ => super.listFrom(path, conf)
    }

  /** Create an entry, or find out what became of it. It is sent again only where it is not there: with the same id, so
    * an earlier one that comes late is known too.
    */
  @tailrec
  private def create(fs: FileSystem, path: Path, entry: ByteArrayOutputStream, id: String, left: Int): Unit = {
    val failure =
      try {
        send(conditionalStream(fs, path, id), entry)
        None
      } catch { case NonFatal(error) => Some(error) }
    if (failure.isDefined) {
      val error = failure.get
      writerOf(fs, path, error) match {
        case Some(writer) if Arrays.equals(writer, id.getBytes(UTF_8)) => ()
        case Some(_) => throw conflict(path, error)
        case None if left > 1 => create(fs, path, entry, id, left - 1)
        case None => throw unknown(path, error)
      }
    }
  }

  private def conditionalStream(fs: FileSystem, path: Path, id: String): FSDataOutputStream = {
    val builder = fs.createFile(path).asInstanceOf[FSDataOutputStreamBuilder[FSDataOutputStream, _]]
    builder.create()
    builder.recursive()
    builder.must("fs.option.create.conditional.overwrite", true)
    builder.must(s"fs.s3a.create.header.$IdHeader", id)
    builder.build()
  }

  /** Write an object whole, or not at all. */
  private def send(stream: FSDataOutputStream, entry: ByteArrayOutputStream): Unit = {
    try entry.writeTo(stream)
    catch {
      case NonFatal(error) =>
        stream.abort() // to close it would publish what it has
        throw error
    }
    stream.close()
  }

  /** Return the id in the metadata of an entry: empty where another tool wrote it, None where there is no entry. */
  private def writerOf(fs: FileSystem, path: Path, error: Throwable): Option[Array[Byte]] =
    try Some(Option(fs.getXAttr(path, s"header.$IdHeader")).getOrElse(Array.emptyByteArray))
    catch {
      case _: FileNotFoundException => None
      case NonFatal(second) =>
        error.addSuppressed(second)
        throw unknown(path, error)
    }

  private def conflict(path: Path, error: Throwable): IOException = {
    val found = new FileAlreadyExistsException(path.toString)
    found.initCause(error)
    found
  }

  private def unknown(path: Path, error: Throwable): IOException =
    new IOException(s"S3 did not say whether it stored $path: the commit may be there, now or later", error)

  /** Return what a folder contains from a name on, by name. The store leaves out what comes before. */
  private def list(s3a: S3AFileSystem, from: Path): Seq[FileStatus] = {
    val folder = keyOf(from.getParent) match {
      case "" => ""
      case key => s"$key/"
    }
    val found = pages(s3a, from, folder, before(keyOf(from)))
    if (found.isEmpty && pages(s3a, from, folder, None, Some(1)).isEmpty)
      throw new FileNotFoundException(s"no such folder: ${from.getParent}")
    found.filter(_.getPath.getName >= from.getName).sortBy(_.getPath.getName)
  }

  private def pages(
      s3a: S3AFileSystem,
      from: Path,
      folder: String,
      after: Option[String],
      count: Option[Int] = None
  ): Seq[FileStatus] = {
    val request = ListObjectsV2Request.builder.bucket(s3a.getBucket).prefix(folder).delimiter("/")
    after.foreach(request.startAfter)
    count.foreach(number => request.maxKeys(number))
    val client = s3a.getS3AInternals.getAmazonS3Client("list a table's log")
    val found = ArrayBuffer.empty[FileStatus]
    var more = true
    try
      while (more) {
        val page = client.listObjectsV2(request.build)
        for (item <- page.contents.asScala if item.key != folder) {
          val place = s3a.makeQualified(new Path(s"/${item.key}"))
          val modified = item.lastModified.toEpochMilli
          found += new FileStatus(item.size, false, 1, s3a.getDefaultBlockSize(place), modified, place)
        }
        for (prefix <- page.commonPrefixes.asScala) {
          val place = s3a.makeQualified(new Path(s"/${prefix.prefix.stripSuffix("/")}"))
          found += new FileStatus(0, true, 1, 0, 0, place)
        }
        more = page.isTruncated && count.isEmpty
        request.continuationToken(page.nextContinuationToken)
      }
    catch { case error: SdkException => throw S3AUtils.translateException("list", from, error) }
    found.toSeq
  }

  private def keyOf(path: Path): String = path.toUri.getPath.stripPrefix("/")

  /** Return a key that comes before a key, and before few others. */
  private def before(key: String): Option[String] =
    if (key.last > ' ') Some(s"${key.init}${(key.last - 1).toChar}") else None
}

object ConditionalLogStore {
  private val IdHeader = "tidegate-commit"
  private val Attempts = 3
}
