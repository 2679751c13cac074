// A broadcast by gorilla/websocket as its documentation advises: each message is framed once
// (PreparedMessage), each client has a queue and a goroutine that writes it.
//
//	go run . TEMPLATE
//
// Prints both ports. On the control port a line with a number publishes up to that seq, and a line "?" is
// answered with the last.
package main

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const queued = 4096

type broadcast struct {
	template string
	mutex    sync.Mutex
	clients  map[chan *websocket.PreparedMessage]struct{}
	seq      int
}

func (b *broadcast) serve(writer http.ResponseWriter, request *http.Request) {
	upgrader := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	connection, err := upgrader.Upgrade(writer, request, nil)
	if err != nil {
		return
	}
	queue := make(chan *websocket.PreparedMessage, queued)
	b.mutex.Lock()
	b.clients[queue] = struct{}{}
	b.mutex.Unlock()
	go func() {
		for message := range queue {
			if connection.WritePreparedMessage(message) != nil {
				connection.Close()
			}
		}
	}()
	for {
		if _, _, err := connection.NextReader(); err != nil {
			break
		}
	}
	b.mutex.Lock()
	delete(b.clients, queue)
	close(queue)
	b.mutex.Unlock()
	connection.Close()
}

func (b *broadcast) publish(upto int) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	for b.seq < upto {
		b.seq++
		text := strings.Replace(b.template, "%(seq)d", strconv.Itoa(b.seq), -1)
		text = strings.Replace(text, "%(ts)d", strconv.FormatInt(time.Now().UnixMicro(), 10), 1)
		message, err := websocket.NewPreparedMessage(websocket.TextMessage, []byte(text))
		if err != nil {
			panic(err)
		}
		for queue := range b.clients {
			queue <- message
		}
	}
}

func (b *broadcast) obey(control net.Conn) {
	lines := bufio.NewScanner(control)
	for lines.Scan() {
		if lines.Text() == "?" {
			fmt.Fprintf(control, "{\"seq\": %d}\n", b.seq)
		} else if upto, err := strconv.Atoi(lines.Text()); err == nil {
			b.publish(upto)
		}
	}
}

func listen() net.Listener {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	return listener
}

func main() {
	runtime.GOMAXPROCS(1) // it has one core, as all have
	b := &broadcast{template: os.Args[1], clients: map[chan *websocket.PreparedMessage]struct{}{}, seq: 1}
	clients, controls := listen(), listen()
	go http.Serve(clients, http.HandlerFunc(b.serve))
	fmt.Printf("{\"port\": %d, \"control\": %d}\n", clients.Addr().(*net.TCPAddr).Port, controls.Addr().(*net.TCPAddr).Port)
	for {
		control, err := controls.Accept()
		if err != nil {
			return
		}
		go b.obey(control)
	}
}
